package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/towline/towline/internal/config"
	"github.com/towline/towline/internal/waittest"
)

// browser is a tab of a headless Chromium that shows a server's dashboard.
type browser struct {
	t   testing.TB
	ctx context.Context
	url string
	// complaints are what the browser says to developers: errors of scripts, and
	// what the pages' own policy has refused.
	complaints *waittest.Log
	asked      *waittest.Log // URLs of all requests
}

// open starts a browser for a server and signs in with the admin token. The
// test fails at its end when the browser has complained, or has asked any other
// host.
func (s *towline) open(t testing.TB) *browser {
	t.Helper()
	b := s.visitor(t)
	_, token, err := config.ReadEndpoint(s.data)
	if err != nil {
		t.Fatal(err)
	}
	b.signIn(token, "Grace Hopper")
	b.until("somebody is signed in", `document.querySelector("header.top") !== null`)
	return b
}

// visitor starts a browser that is not signed in.
func (s *towline) visitor(t testing.TB) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is missing: install Debian's package chromium (scripts/deps test)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WindowSize(1280, 900), chromedp.UserDataDir(t.TempDir()))
	allocated, freed := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	ctx, closed := chromedp.NewContext(allocated)
	b := &browser{t: t, ctx: ctx, url: "http://" + s.listen, complaints: &waittest.Log{}, asked: &waittest.Log{}}
	if err := chromedp.Listen(ctx, b.hear); err != nil { // which also starts the browser
		t.Fatalf("start chromium: %v", err)
	}
	for name, enable := range map[string]func() error{
		"log":     func() error { _, err := chromedp.Call(ctx, log.Enable, struct{}{}); return err },
		"network": func() error { _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); return err },
		"runtime": func() error { _, err := chromedp.Call(ctx, runtime.Enable, struct{}{}); return err },
	} {
		if err := enable(); err != nil {
			t.Fatalf("listen to %s: %v", name, err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			b.picture(filepath.Join(os.TempDir(), "towline-failed-"+strings.ReplaceAll(t.Name(), "/", "-")+".png"))
		}
		closed()
		freed()
		for url := range strings.Lines(b.asked.String()) {
			if url = strings.TrimSpace(url); !strings.HasPrefix(url, b.url+"/") && !strings.HasPrefix(url, "data:") && !strings.HasPrefix(url, "about:") {
				t.Errorf("the browser asked another host: %s", url)
			}
		}
		if said := b.complaints.String(); said != "" {
			t.Errorf("the browser complains:\n%s", said)
		}
	})
	return b
}

func (b *browser) hear(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		fmt.Fprintln(b.complaints, e.ExceptionDetails.Text, e.ExceptionDetails.URL, e.ExceptionDetails.LineNumber, thrown(e.ExceptionDetails.Exception))
	case *log.EventEntryAdded:
		// That a request failed is seen in the page; the rest is a defect of it.
		if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork {
			fmt.Fprintln(b.complaints, e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		fmt.Fprintln(b.asked, e.Request.URL)
	}
}

func thrown(o *runtime.RemoteObject) string {
	if o == nil {
		return ""
	}
	return o.Description
}

// do runs actions of the browser's. Each waits for what it needs.
func (b *browser) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, waittest.Patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

func (b *browser) signIn(credential, name string) {
	b.t.Helper()
	b.visit("/sign-in")
	b.do("sign in", chromedp.SendKeys(chromedp.CSS(`[name="credential"]`), credential),
		chromedp.SetValue(chromedp.CSS(`[name="name"]`), name), chromedp.Click(chromedp.CSS(`form.sign-in button`)))
}

// visit goes to a page and waits until it is there.
func (b *browser) visit(path string) {
	b.t.Helper()
	b.do("visit "+path, chromedp.Navigate(b.url+path), chromedp.WaitReady(chromedp.CSS("#page")))
}

// sees waits until a text is on the page.
func (b *browser) sees(text string) {
	b.t.Helper()
	quoted, _ := json.Marshal(text)
	b.until(fmt.Sprintf("%q is on the page", text), fmt.Sprintf(`document.body.innerText.includes(%s)`, quoted))
}

// until waits until an expression of JavaScript is true.
func (b *browser) until(what, expression string) {
	b.t.Helper()
	b.t.Cleanup(func() {
		if b.t.Failed() {
			b.t.Logf("waited until %s", what)
		}
	})
	waittest.Until(b.t, what, func() bool {
		// While the page changes there is nothing to ask.
		yes, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](expression))
		return err == nil && yes
	})
}

// evaluate is the value of an expression of JavaScript.
func evaluate[T any](b *browser, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, waittest.Patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("evaluate %s: %v", expression, err)
	}
	return value
}

// click clicks on what a selector finds first.
func (b *browser) click(selector string) {
	b.t.Helper()
	b.do("click "+selector, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// press presses keys, one after the other.
func (b *browser) press(keys string) {
	b.t.Helper()
	b.do("press "+keys, chromedp.KeyEvent(keys))
}

// pressEscape is the key that leaves a field.
var pressEscape = chromedp.KeyEvent(kb.Escape)

// typeInto replaces what a field holds.
func typeInto(selector, text string) chromedp.Action[chromedp.Void] {
	return chromedp.SetValue(chromedp.CSS(selector), text, chromedp.NodeVisible)
}

// size changes the window, and the theme that the system is said to prefer.
func (b *browser) size(width, height int64, theme string) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1})
	if err == nil {
		_, err = chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}})
	}
	if err != nil {
		b.t.Fatalf("change the window: %v", err)
	}
}

// fits fails the test when the page is wider than the window.
func (b *browser) fits() {
	b.t.Helper()
	if over := evaluate[int](b, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); over > 0 {
		b.t.Errorf("the page is %d pixels wider than its window", over)
	}
}

// picture writes what the window shows to a file.
func (b *browser) picture(file string) {
	ctx, cancel := context.WithTimeout(b.ctx, waittest.Patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.MkdirAll(filepath.Dir(file), 0o755)
	}
	if err == nil {
		err = os.WriteFile(file, png, 0o644)
	}
	if err != nil {
		b.t.Errorf("take picture %s: %v", file, err)
		return
	}
	b.t.Logf("picture: %s", file)
}

// shown takes the pictures of a page: in both themes, and narrow. With
// TOWLINE_PICTURES=docs the first is that of docs/dashboard; else they are left
// where the test's other files are.
func (b *browser) shown(name string) {
	b.t.Helper()
	dir := b.t.TempDir()
	if chosen := os.Getenv("TOWLINE_PICTURES"); chosen == "docs" {
		dir = filepath.Join("..", "docs", "dashboard")
	} else if chosen != "" {
		dir = chosen
	}
	for _, view := range []struct {
		width, height int64
		theme, suffix string
	}{{1280, 900, "light", ""}, {1280, 900, "dark", "-dark"}, {360, 780, "light", "-narrow"}, {2560, 1300, "light", "-wide"}} {
		if view.suffix != "" && os.Getenv("TOWLINE_PICTURES") == "docs" {
			continue // looked at, but not in the documentation
		}
		b.size(view.width, view.height, view.theme)
		b.fits()
		b.picture(filepath.Join(dir, name+view.suffix+".png"))
	}
	b.size(1280, 900, "light")
}
