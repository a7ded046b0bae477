package page

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// go test ./internal/page -run Browser -update makes the pictures of docs/page.md again.
var update = flag.Bool("update", false, "make the pictures of docs/page.md again")

// pictures is an absolute path: newFake changes the folder.
var pictures, _ = filepath.Abs("../../docs/images")

// A browser is a tab of Chromium that shows the page.
type browser struct {
	*testing.T
	tab      context.Context
	messages chan string
}

// attacker is a name that the browser resolves to 127.0.0.1, as after DNS rebinding.
const attacker = "attacker.example"

// startChromium returns a context for tabs of a new browser.
func startChromium(t *testing.T) context.Context {
	t.Helper()
	labtest.NeedProgram(t, "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"),
		chromedp.NoSandbox, // it shows nothing but the page
		chromedp.Flag("host-resolver-rules", "MAP "+attacker+" 127.0.0.1"))
	ctx, cancel := context.WithTimeout(context.Background(), 4*labtest.Patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	labtest.Must(t, chromedp.Do(ctx)) // start it, so that each tab belongs to it
	return ctx
}

// newBrowser opens a page in a new tab. messages gets the errors and warnings that the browser writes to its console, as
// it does for whatever the Content-Security-Policy forbids.
func newBrowser(t *testing.T, chromium context.Context, url string) *browser {
	t.Helper()
	tab, cancel := chromedp.NewContext(chromium)
	t.Cleanup(cancel)
	b := &browser{t, tab, make(chan string, 100)}
	b.do(chromedp.EmulateViewport(1280, 800))
	messages := chromedp.Console(tab)
	go func() {
		for m, err := range messages { // until the tab is closed
			isRefusal := strings.HasPrefix(m.Text, "Failed to load resource: the server responded with a status of 400")
			if err == nil && m.Type != chromedp.ConsoleLog && m.Type != chromedp.ConsoleInfo && !isRefusal {
				b.messages <- fmt.Sprintf("%s: %s %s", m.Type, m.Text, m.URL)
			}
		}
	}()
	b.do(chromedp.Navigate(url))
	return b
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	labtest.Must(b, chromedp.Do(b.tab, steps...))
}

// is returns the value of an expression in the page.
func (b *browser) is(expression string) bool {
	b.Helper()
	value, err := chromedp.Run(b.tab, chromedp.Evaluate[bool](expression))
	labtest.Must(b, err)
	return value
}

// expect waits until an expression in the page is true.
func (b *browser) expect(expression string) {
	b.Helper()
	labtest.Eventually(b, expression, func() bool { return b.is(expression) })
}

// expectText waits until an element has a text, with one blank for all white space.
func (b *browser) expectText(selector, text string) {
	b.Helper()
	found := fmt.Sprintf(`document.querySelector(%q)?.innerText.replace(/\s+/g, " ")`, selector)
	defer func() {
		if b.Failed() {
			got, _ := chromedp.Run(b.tab, chromedp.Evaluate[string](found))
			b.Logf("%s has %q", selector, got)
		}
	}()
	b.expect(fmt.Sprintf("%s?.includes(%q) ?? false", found, text))
}

// enter writes a text into a field, in place of what is there, and presses Enter.
func (b *browser) enter(selector, text string) {
	b.Helper()
	b.is(fmt.Sprintf("document.querySelector(%q).select(), true", selector))
	b.do(chromedp.Focus(chromedp.CSS(selector)), chromedp.KeyEvent(text), chromedp.KeyEvent(kb.Enter))
}

// open follows a link of the header by the keyboard.
func (b *browser) open(view string) {
	b.Helper()
	b.do(chromedp.Focus(chromedp.CSS(`nav a[href="#`+view+`"]`)), chromedp.KeyEvent(kb.Enter))
	b.expect(fmt.Sprintf("!document.getElementById(%q).hidden", view))
}

// take makes a picture of the upper part of the page for docs/page.md, with -update.
func (b *browser) take(name string, height int) {
	b.Helper()
	if !*update {
		return
	}
	shot, err := chromedp.Run(b.tab, chromedp.CaptureScreenshot())
	labtest.Must(b, err)
	full, err := png.Decode(bytes.NewReader(shot))
	labtest.Must(b, err)
	small := withFewColors(full, image.Rect(0, 0, full.Bounds().Dx(), height))
	var file bytes.Buffer
	labtest.Must(b, (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&file, small))
	labtest.Must(b, os.MkdirAll(pictures, 0o755))
	labtest.Must(b, os.WriteFile(filepath.Join(pictures, name+".png"), file.Bytes(), 0o644))
}

// withFewColors returns a part of a picture with its most frequent colors: the file is much smaller, and looks the same.
func withFewColors(full image.Image, part image.Rectangle) image.Image {
	count := map[color.Color]int{}
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			count[full.At(x, y)]++
		}
	}
	colors := slices.SortedFunc(maps.Keys(count), func(a, b color.Color) int { return count[b] - count[a] })
	small := image.NewPaletted(part, colors[:min(len(colors), 256)])
	draw.Draw(small, part, full, part.Min, draw.Src)
	return small
}

// TestBrowser uses every view of the page in Chromium, by the keyboard alone.
func TestBrowser(t *testing.T) {
	chromium, f := startChromium(t), newFake(t)
	b := newBrowser(t, chromium, start(t, f, ""))
	b.expectText("#health", "all is well")
	b.expectText("#about", "v1.2.3, up 1h0m, configuration 2")

	t.Run("map", b.testMap)
	t.Run("hosts", b.testHosts)
	t.Run("ports", b.testPorts)
	t.Run("verdicts", func(t *testing.T) { b.testVerdicts(t, f) })
	t.Run("violations", b.testViolations)
	t.Run("explain", b.testExplain)
	t.Run("ten thousand addresses", b.testMany)
	t.Run("dark", b.testDark)
	t.Run("policy", b.testPolicy)
	t.Run("token", func(t *testing.T) { testToken(t, chromium) })
	t.Run("rebinding", func(t *testing.T) { testRebinding(t, chromium) })
}

// testToken opens a page that asks for a token, of a fabric that has a problem.
func testToken(t *testing.T, chromium context.Context) {
	f := newFake(t)
	f.problems = []string{"network lab: the uplink eth1 is not a member of br0"}
	b := newBrowser(t, chromium, strings.Replace(start(t, f, token), "://", "://me:"+token+"@", 1))
	b.expectText("#health", "1 problem")
	b.expectText("#problems", f.problems[0])
	b.expectText("#map-legend", "45 active")
}

// testRebinding opens the page by the name of another site, with its address.
func testRebinding(t *testing.T, chromium context.Context) {
	b := newBrowser(t, chromium, strings.Replace(start(t, newFake(t), ""), "127.0.0.1", attacker, 1))
	b.expectText("body", "any name may be somebody else's")
}

func (b browser) testMap(t *testing.T) {
	b.T = t
	b.expect(`document.querySelectorAll("#map-blocks .block").length === 1`)
	b.expectText("#map-summary", "10.239.0.0/24 · vpc on bridge br0 (uplink eth1) · guard full · 53 bindings · 3 guest ports")
	b.expectText("#map-legend", "186 free 22 allocated 45 active 1 violated")
	b.enter("#map-address", "10.239.0.101")
	b.expectText("#map-details", "10.239.0.101 active")
	b.expectText("#map-details", "web")
	b.do(chromedp.KeyEvent(kb.ArrowRight))
	b.expectText("#map-details", "02:00:09:de:54:a8 at vnet4 used it 3 times, last 1m3")
	b.expect(`document.getElementById("selected-cell").getAttribute("aria-label") === "10.239.0.102, violated"`)
	b.take("map", 800)
	b.do(chromedp.KeyEvent(kb.ArrowRight))
	b.expectText("#map-details", "<img src=x onerror=") // names are text, whatever they contain
	b.do(chromedp.KeyEvent(kb.ArrowUp), chromedp.KeyEvent(kb.ArrowLeft), chromedp.KeyEvent(kb.ArrowLeft))
	b.expectText("#map-details", "10.239.0.85 free It has no binding.")
	b.enter("#map-address", "10.239.0.300")
	b.expectText("#map-message", "10.239.0.300 is not an IPv4 address")
}

func (b browser) testHosts(t *testing.T) {
	b.T = t
	b.open("hosts")
	b.expect(`document.querySelectorAll("#hosts-rows tr").length === 53`)
	for text, found := range map[string]string{
		"db":                "10.239.0.102 db 02:00:07:de:54:a8 vnet3 40m0s vnet3 lab.yaml:9",
		"02:00:06:de:54:a8": "10.239.0.101 web",
		"10.239.0.128":      "10.239.0.128–10.239.0.143 balancer",
		"10.239.0.17":       "10.239.0.17 02:00:00:01:54:a8 not seen any lab.ethers:2",
	} {
		b.enter("#hosts-find", text)
		b.expectText("#hosts-rows", found)
		b.expectText("#hosts-message", "1 host")
	}
}

func (b browser) testPorts(t *testing.T) {
	b.T = t
	b.open("ports")
	b.expectText("#ports-rows", "vnet2 guest web 10.239.0.101 02:00:06:de:54:a8 5s ago")
	b.expectText("#ports-rows", "7,212 12 0 answered 7,210 · unknown-target 12 · self-probe 2")
	b.expect(`document.querySelectorAll("#ports-rows tr").length === 5`)
}

func (b browser) testVerdicts(t *testing.T, f *fake) {
	b.T = t
	f.publish(time.Now(), "vnet2", 101, 55, responder.Verdict{Action: responder.Drop, Reason: responder.UnknownTarget})
	b.open("verdicts")
	b.expectText("#verdicts-rows .dim", "who-has 10.239.0.55 tell 10.239.0.101") // from before
	labtest.Eventually(t, "the page listens", f.IsHeard)
	at := time.Date(2026, 3, 2, 9, 14, 2, 118_000_000, time.Local)
	for i := range 300 {
		at = at.Add(137 * time.Millisecond)
		v, port, sender, target := responder.Verdict{Action: responder.Reply, Reason: responder.Answered}, "vnet2", byte(101), byte(102)
		switch i % 9 {
		case 2, 3:
			port, sender, target = "vnet3", 102, 1
		case 5:
			v, target = responder.Verdict{Action: responder.Drop, Reason: responder.UnknownTarget}, 77
		case 7:
			v, port, sender, target = responder.Verdict{Action: responder.Drop, Reason: responder.SpoofedSender}, "vnet4", 102, 1
		}
		f.publish(at, port, sender, target, v)
		if i%64 == 63 { // not more at once than a listener may have waiting
			b.expect(fmt.Sprintf(`document.querySelectorAll("#verdicts-rows tr").length >= %d`, min(i, 200)))
		}
	}
	b.expectText("#verdicts-rows tr", at.Format("15:04:05.000")) // the newest is the first
	b.expectText("#verdicts-rows", "vnet4 drop spoofed-sender ARP, Request who-has 10.239.0.1 tell 10.239.0.102, length 28 explain")
	b.expect(`document.querySelectorAll("#verdicts-rows tr").length === 200`)
	b.take("verdicts", 420)
	b.do(chromedp.Focus(chromedp.CSS("#verdicts-pause")), chromedp.KeyEvent(" "))
	b.expectText("#verdicts-message", "paused")
	labtest.Eventually(t, "the page listens no more", func() bool { return !f.IsHeard() })
	b.do(chromedp.KeyEvent(" "))
	labtest.Eventually(t, "the page listens again", f.IsHeard)
	b.do(chromedp.Focus(chromedp.CSS("#verdicts-rows a")), chromedp.KeyEvent(kb.Enter)) // explain
	b.expectText("#explain-answer", "reply answered ARP, Request who-has 10.239.0.1 tell 10.239.0.102")
	labtest.Eventually(t, "the page listens only while it shows verdicts", func() bool { return !f.IsHeard() })
}

func (b browser) testViolations(t *testing.T) {
	b.T = t
	b.open("violations")
	b.expectText("#violations-rows", "lab vnet4 02:00:09:de:54:a8 10.239.0.102 db, 02:00:07:de:54:a8 10.239.0.1 spoofed-sender 3 20m")
	b.expectText("#violations-count", "3")
	b.do(chromedp.Focus(chromedp.CSS(`#violations-rows a[href*="map?network=many"]`)), chromedp.KeyEvent(kb.Enter))
	b.expectText("#map-details", violated[2].String()+" violated")
	b.do(chromedp.Focus(chromedp.CSS("#network")), chromedp.KeyEvent(kb.ArrowUp))
	b.expectText("#map-summary", "10.239.0.0/24")
}

func (b browser) testExplain(t *testing.T) {
	b.T = t
	b.open("explain")
	b.enter("#explain-frame", "who-has 10.239.0.1 tell")
	b.expect(`document.getElementById("explain-message").textContent !== ""`)
	b.enter("#explain-frame", "who-has 10.239.0.1 tell 10.239.0.102")
	b.enter("#explain [name=port]", "vnet4")
	b.expectText("#explain-answer", "drop spoofed-sender")
	b.expectText("#explain-answer", "write the port vnet4 in lab.yaml:9")
	b.take("explain", 640)
}

// testMany checks that ten thousand addresses are drawn once, and not again while they stay the same.
func (b browser) testMany(t *testing.T) {
	b.T = t
	b.open("map")
	b.do(chromedp.Focus(chromedp.CSS("#network")), chromedp.KeyEvent(kb.ArrowDown))
	b.expect(`document.querySelectorAll("#map-blocks [role=option]").length === 64 * 256`)
	b.expectText("#map-legend", "6,382 free 4,824 allocated 5,174 active 2 violated")
	b.is(`window.drawn = 0; new MutationObserver((all) => { drawn += all.length })
		.observe(document.getElementById("map-blocks"), { subtree: true, childList: true, attributes: true, characterData: true }); true`)
	b.is(`window.refreshed = 0; new PerformanceObserver((list) => {
		refreshed += list.getEntries().filter((e) => e.name.includes("/addresses")).length }).observe({ type: "resource" }); true`)
	for i := range 2 { // the first one has been drawn when the second one begins
		b.is(`document.dispatchEvent(new Event("visibilitychange"))`)
		b.expect(fmt.Sprintf("refreshed > %d", i))
	}
	if !b.is("drawn === 0") {
		t.Error("a refresh draws cells again that stay the same")
	}
	b.enter("#map-address", hostOf(manyHosts-1).String())
	b.expectText("#map-details", hostOf(manyHosts-1).String())
	b.do(chromedp.KeyEvent(kb.Home), chromedp.KeyEvent(kb.PageDown))
	b.expectText("#map-details", "10.240.1.0 free")
}

// testDark checks that the page follows the browser's choice of dark or light.
func (b browser) testDark(t *testing.T) {
	b.T = t
	b.expect(`getComputedStyle(document.body).backgroundColor === "rgb(245, 247, 249)"`)
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}
	_, err := chromedp.Call(b.tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
	labtest.Must(t, err)
	b.expect(`getComputedStyle(document.body).backgroundColor === "rgb(14, 19, 26)"`)
	b.is("scrollTo(0, 0), true")
	b.enter("#map-address", violated[2].String())
	b.expectText("#map-details", "used it 5 times")
	b.take("dark", 640)
}

// testPolicy checks that the console has no message yet, and gets one when the page would load something from elsewhere.
func (b browser) testPolicy(t *testing.T) {
	b.T = t
	for range len(b.messages) {
		t.Errorf("the console has %s", <-b.messages)
	}
	b.is(`new Image().src = "http://192.0.2.1/picture.png", true`)
	if got := <-b.messages; !strings.Contains(got, "Content Security Policy") {
		t.Errorf("the console has %s", got)
	}
}
