package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/gopacket/gopacket/layers"
)

// onPage is the capture whose replay docs/replay.md shows.
func onPage() []taken {
	const app, db, old = "10.239.0.101", "10.239.0.102", "10.239.0.9"
	const oldMAC = "02:00:0a:de:54:a8"
	return append(each(
		request(appMAC, app, "10.239.0.1"), reply(gatewayMAC, "10.239.0.1", appMAC, app),
		request(appMAC, app, db), reply(dbMAC, db, appMAC, app), reply(strangerMAC, db, appMAC, app),
		request(oldMAC, old, db), reply(dbMAC, db, oldMAC, old),
		probe(appMAC, app),
		request(appMAC, app, "10.239.0.77"),
		request(dbMAC, db, db),
	), taken{after: time.Second, frame: request(dbMAC, db, "10.239.0.1"), lost: 20})
}

// TestPage expects docs/replay.md to show the actual output, and to explain every name in JSON.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/replay.md")
	labtest.Must(t, err)
	capture := pcap(t, layers.LinkTypeEthernet, onPage())
	s, lines := run(t, capture)
	l, err := Learn(context.Background(), bytes.NewReader(capture))
	labtest.Must(t, err)
	var learned bytes.Buffer
	labtest.Must(t, l.Write(&learned))
	for what, shown := range map[string]string{
		"configuration": labConfig, "lines": lines, "summary": text(t, s), "what is learned": learned.String(),
	} {
		if !bytes.Contains(page, []byte("\n"+shown+"```")) {
			t.Errorf("the page does not show the %s:\n%s", what, shown)
		}
	}
	var names any
	labtest.Must(t, json.Unmarshal([]byte(asJSON(t, s)), &names))
	checkNames(t, string(page), "", names)
}

// checkNames expects every name of a JSON value to be explained on the page.
func checkNames(t *testing.T, page, path string, value any) {
	t.Helper()
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			checkNames(t, page, path+"[]", element)
		}
	case map[string]any:
		for name, field := range value {
			checkNames(t, page, strings.TrimPrefix(path+"."+name, "."), field)
		}
	}
	if _, isObject := value.(map[string]any); !isObject && !strings.Contains(page, "\n| `"+path+"` |") {
		t.Errorf("%q is not on the page", path)
	}
}
