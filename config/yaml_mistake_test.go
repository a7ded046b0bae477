package config

import (
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

// TestMistakes expects the line with the mistake to be named, and what to do. The mistakes are those that people make who
// edit a configuration.
func TestMistakes(t *testing.T) {
	const (
		head  = "networks:\n  lab:\n    attach: {bridge: br0}\n    registry:\n" // lines 1 to 4
		good  = "      10.239.0.1: \"02:00:00:de:54:a8\"\n"
		other = "      10.239.0.2: {mac: \"02:00:00:de:54:a9\", name: b}\n"

		tab   = "invalid YAML: a tab in the indentation; YAML allows only spaces there"
		quote = "invalid YAML: the quote before 02:00:00:de:54:a8"
		glued = "invalid YAML: a space is missing after the colon of "
		noKey = "invalid YAML: no key in this line: want KEY: VALUE, with a colon and a space"
	)
	tests := map[string]struct{ text, want string }{
		"tab":                {"networks:\n  lab:\n\tattach: {bridge: br0}\n", "3: " + tab},
		"tab and spaces":     {head + "\t  10.239.0.1: \"02:00:00:de:54:a8\"\n" + other, "5: " + tab},
		"spaces and tab":     {head + good + "    \t10.239.0.2: \"02:00:00:de:54:a9\"\n", "6: " + tab},
		"only a tab":         {head + good + "\t\n" + other, "6: " + tab},
		"tabs everywhere":    {"networks:\n\tlab:\n\t\tattach: {bridge: br0}\n", "2: " + tab},
		"quote":              {head + "      10.239.0.1: \"02:00:00:de:54:a8\n" + other, "5: " + quote + " is not closed"},
		"quote at the end":   {head + good + "      10.239.0.2: \"02:00:00:de:54:a8\n", "6: " + quote + " is not closed"},
		"single quote":       {head + "      10.239.0.1: '02:00:00:de:54:a8\n      10.239.0.2: '02:00:00:de:54:a9'\n", "5: " + quote},
		"quote in braces":    {head + "      10.239.0.1: {mac: \"02:00:00:de:54:a8, name: a}\n" + other, "5: " + quote},
		"escaped quote":      {head + "      10.239.0.1: \"02:00:00:de:54:a8\\\"\n" + other, `5: invalid YAML: the quote before "02:00:00:de:54:a8\\\"" is not closed`},
		"outdented":          {head + good + "     10.239.0.2: \"02:00:00:de:54:a9\"\n" + other, "6: invalid YAML: this line is indented by 5 spaces; want 4 or 6, as lines above"},
		"outdented key":      {"networks:\n  lab:\n    attach: {bridge: br0}\n   registry:\n" + good, "4: invalid YAML: this line is indented by 3 spaces; want 2 or 4, as lines above"},
		"outdented network":  {head + good + " other:\n    attach: {bridge: br1}\n", "6: invalid YAML: this line is indented by 1 space; want 0 or 2, as lines above"},
		"indented more":      {head + good + "       10.239.0.2: \"02:00:00:de:54:a9\"\n" + good, "6: invalid YAML: this line is indented by 7 spaces, more than line 5, which has a value already; want 6"},
		"indented key":       {"networks:\n  lab:\n   attach: {bridge: br0}\n    registry:\n" + good, "4: invalid YAML: this line is indented by 4 spaces, more than line 3, which has a value already; want 3"},
		"first indented":     {"  networks:\n    lab:\n      attach: {bridge: br0}\n      allow_empty: true\nlog: {}\n", "5: invalid YAML: this line is indented by 0 spaces; want 2, as the lines above"},
		"after a comment":    {head + good + "# below\n     10.239.0.2: \"02:00:00:de:54:a9\"\n", "7: invalid YAML: this line is indented by 5"},
		"glued in braces":    {"networks:\n  lab:\n    attach: {bridge:br0}\n    registry: {}\n", "3: networks.lab.attach: " + glued + `"bridge:"`},
		"glued binding":      {head + "      10.239.0.1: {mac:\"02:00:00:de:54:a8\"}\n", "5: networks.lab.registry.10.239.0.1: " + glued + `"mac:"`},
		"glued key":          {"networks:\n  lab:\n    attach:{bridge: br0}\n", "3: networks.lab: " + glued + `"attach:"`},
		"glued address":      {head + "      10.239.0.1:\"02:00:00:de:54:a8\"\n", "5: networks.lab.registry: " + glued + `"10.239.0.1:"`},
		"glued, then good":   {head + "      10.239.0.1:\"02:00:00:de:54:a8\"\n" + other, "5: " + glued + `"10.239.0.1:"`},
		"glued unquoted":     {head + "      10.239.0.1:02:00:00:de:54:a8\n", "5: networks.lab.registry: " + glued + `"10.239.0.1:"`},
		"no colon":           {"networks:\n  lab\n    attach: {bridge: br0}\n", "2: " + noKey},
		"no colon in a list": {head + good + "      10.239.0.2 \"02:00:00:de:54:a9\"\n" + other, "6: " + noKey},
		"open brace":         {"networks:\n  lab:\n    attach: {bridge: br0\n    registry: {}\n", "3: invalid YAML: the { in this line is not closed"},
		"open bracket":       {"networks:\n  lab:\n    attach: {bridge: br0, uplinks: [eth1}\n", "3: invalid YAML: the [ in this line is closed by }"},
		"too many":           {"networks:\n  lab:\n    attach: {bridge: br0}}\n    registry: {}\n", "3: invalid YAML: one } too many in this line"},
		"at sign":            {head + "      10.239.0.1: @mac\n", "5: invalid YAML: a value that begins with @ needs quotes"},
		"two keys":           {"networks: lab: {}\n", "1: invalid YAML: two keys in one line"},
	}
	t.Chdir(t.TempDir())
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			labtest.Write(t, "lab.yaml", tt.text)
			got := problemsOf("lab.yaml")
			if len(got) != 1 || !strings.HasPrefix(got[0], "lab.yaml:"+tt.want) {
				t.Errorf("got\n%s\nwant\nlab.yaml:%s", strings.Join(got, "\n"), tt.want)
			}
		})
	}
}

// TestNoMistake loads files with what looks like a mistake and is none.
func TestNoMistake(t *testing.T) {
	t.Chdir(t.TempDir())
	labtest.Write(t, "lab.yaml", `# a tab	here, a quote ' and a { there
networks:
    lab:	# a comment's
     attach:
      {bridge: br0,
    uplinks: [eth1,
   eth2]}
     registry:
       10.239.0.1:	"02:00:00:de:54:a8"
       "10.239.0.2": {mac: '02:00:00:de:54:a9', name: it_s}
       "02:00:00:de:54:aa": {}
metrics: {listen: 127.0.0.1:9643}
`)
	if got := problemsOf("lab.yaml"); got != nil {
		t.Error(got)
	}
}
