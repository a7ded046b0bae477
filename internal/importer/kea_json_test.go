package importer

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestKeaJSON(t *testing.T) {
	tests := map[string]struct{ in, want, includes string }{
		"JSON":                  {`{"a": [1, "b"]}`, `{"a": [1, "b"]}`, ""},
		"comments":              {"[1 # ]\n, 2 // ]\n, 3 /* ]\n */]", "[1    \n, 2     \n, 3     \n   ]", ""},
		"comment without end":   {"[1 /*]", "[1    ", ""},
		"in strings":            {`["#", "//", "/*", ",]", "\",]", "<?include \"x\"?>"]`, `["#", "//", "/*", ",]", "\",]", "<?include \"x\"?>"]`, ""},
		"string without end":    {`["a,]`, `["a,]`, ""},
		"comma behind the last": {"{\"a\": [1, ],\n}", "{\"a\": [1  ] \n}", ""},
		"comma, then comment":   {"[1, # ,\n]", "[1     \n]", ""},
		"commas":                {"[1,, 2,,]", "[1,  2  ]", ""},
		"include as a value":    {`{"a": <?include "x"?>, "b": 1}`, `{"a":   null         , "b": 1}`, "6 x"},
		"include in a list":     {`[<?include "x"?>, 1]`, `[                 1]`, "1 x"},
		"include at the end":    {`[1, <?include "x"?>]`, `[1                 ]`, "4 x"},
		"include, comma in it":  {`[1, <?include "x"?> 2]`, `[1,                 2]`, "4 x"},
		"include between":       {`[1, <?include "x"?>, <?include "y"?>, 2]`, `[1,                                   2]`, "4 x, 21 y"},
		"include on lines":      {"{\"a\":<?\ninclude\n\"x\"\n?>}", "{\"a\":  \nnull   \n   \n  }", "5 x"},
		"include without end":   {`[<?include "x"]`, `[<?include "x"]`, ""},
		"include of nothing":    {`[<?include ""?>]`, `[<?include ""?>]`, ""},
		"not an include":        {`<?xml version="1.0"?>`, `<?xml version="1.0"?>`, ""},
		"numbers of Kea":        {"[.5, 5., +5, -.5, 05, .5e3, +0.25]", "[0 , 5 , 5 , -0 , 5 , 0   , 0    ]", ""},
		"numbers of JSON":       {"[0, -0, 5, 0.5, -1.5e+3, 0]", "[0, -0, 5, 0.5, -1.5e+3, 0]", ""},
		"no numbers":            {"[-, ., +, 1.2.3]", "[-, ., +, 1.20 ]", ""},
		"nothing":               {"", "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			k := parseKeaJSON(tt.in)
			if string(k.data) != tt.want {
				t.Errorf("got\n%q\nwant\n%q", k.data, tt.want)
			}
			var includes []string
			for _, i := range k.includes {
				includes = append(includes, fmt.Sprintf("%d %s", i.at, i.file))
			}
			if got := strings.Join(includes, ", "); got != tt.includes {
				t.Errorf("includes %q, want %q", got, tt.includes)
			}
		})
	}
}

// FuzzKeaJSON holds that JSON is left as it is, and that each line of anything else stays where it is.
func FuzzKeaJSON(f *testing.F) {
	f.Add(`{"a": [1, "b,]", {}], "c": "<?include \"x\"?>"}`)
	f.Add("{\"a\":<?\ninclude\n\"x\"\n?>, # b\n\"c\": [1,,/*\n*/],}")
	f.Fuzz(func(t *testing.T, text string) {
		got := string(parseKeaJSON(text).data)
		if json.Valid([]byte(text)) && got != text {
			t.Errorf("%q became %q", text, got)
		}
		if lineLengths(got) != lineLengths(text) {
			t.Errorf("%q became %q, which has other lines", text, got)
		}
	})
}

func lineLengths(text string) string {
	var lengths []int
	for line := range strings.Lines(text) {
		lengths = append(lengths, len(line))
	}
	return fmt.Sprint(lengths)
}
