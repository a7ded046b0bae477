package build

import (
	"encoding/json"
	"runtime"
	"runtime/debug"
	"testing"
)

func TestInfo(t *testing.T) {
	platform := []debug.BuildSetting{{Key: "GOOS", Value: "linux"}, {Key: "GOARCH", Value: "arm64"}}
	commit := append(platform,
		debug.BuildSetting{Key: "vcs.revision", Value: "50aebc6d"},
		debug.BuildSetting{Key: "vcs.time", Value: "2026-11-20T10:00:00Z"})
	tests := []struct {
		name       string
		version    string
		settings   []debug.BuildSetting
		text, json string
	}{
		{
			"a tag", "v1.2.3", append(commit, debug.BuildSetting{Key: "vcs.modified", Value: "false"}),
			"arpfabric v1.2.3\nrevision 50aebc6d of 2026-11-20T10:00:00Z\nbuilt with go1.26.8 for linux/arm64",
			`{"version":"v1.2.3","revision":"50aebc6d","time":"2026-11-20T10:00:00Z","dirty":false,` +
				`"go":"go1.26.8","os":"linux","arch":"arm64"}`,
		},
		{
			"changes", "v1.2.4-0.20261120100000-50aebc6d+dirty",
			append(commit, debug.BuildSetting{Key: "vcs.modified", Value: "true"}),
			"arpfabric v1.2.4-0.20261120100000-50aebc6d+dirty\nrevision 50aebc6d of 2026-11-20T10:00:00Z, with changes\n" +
				"built with go1.26.8 for linux/arm64",
			`{"version":"v1.2.4-0.20261120100000-50aebc6d+dirty","revision":"50aebc6d","time":"2026-11-20T10:00:00Z",` +
				`"dirty":true,"go":"go1.26.8","os":"linux","arch":"arm64"}`,
		},
		{
			"no history", "(devel)", platform,
			"arpfabric (devel)\nbuilt with go1.26.8 for linux/arm64",
			`{"version":"(devel)","dirty":false,"go":"go1.26.8","os":"linux","arch":"arm64"}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			info := infoOf(&debug.BuildInfo{
				GoVersion: "go1.26.8", Main: debug.Module{Version: tt.version}, Settings: tt.settings,
			})
			if got := info.String(); got != tt.text {
				t.Errorf("%s\nwant\n%s", got, tt.text)
			}
			if got, err := json.Marshal(info); err != nil || string(got) != tt.json {
				t.Errorf("%s (%v)\nwant\n%s", got, err, tt.json)
			}
		})
	}
}

func TestRead(t *testing.T) {
	if got := Read(); got.Go != runtime.Version() || got.OS != runtime.GOOS || got.Arch != runtime.GOARCH {
		t.Errorf("%+v", got)
	}
}
