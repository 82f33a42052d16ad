package e2e_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/towline/towline/internal/pipeline"
)

// chatty prints 100,000 lines, among them HTML and the codes of terminals, and
// fails in the middle of them.
const chatty = `pipeline: chatty
stages:
  - name: Test
    actions:
      - name: unit
        build:
          commands:
            - seq -f 'line %.0f' 1 49998
            - printf '\033[31mred\033[0m <script>document.title="owned"</script><img src=x onerror=alert(1)>\n'
            - 'echo "main.go:7: error: boom"'
            - seq -f 'line %.0f' 50001 100000
            - exit 3
`

func TestDashboardOpensAFailedBuildAtItsError(t *testing.T) {
	t.Parallel()
	s := start(t)
	e := s.await(s.repository("chatty", map[string]string{"towline.yaml": chatty}).push("Make the answers <b>faster</b>").ID)
	if e.Status != pipeline.ExecutionFailed {
		t.Fatal(e.Status)
	}
	b := s.open(t)
	b.visit("/executions/chatty-1")
	b.sees("Make the answers <b>faster</b>")
	b.until("the log is there and stands at its first error", `document.querySelector(".log-line.current .log-text")?.innerText.includes("main.go:7: error: boom")`)
	b.shown("execution")
	if lines := evaluate[int](b, `document.querySelector("towline-log").lines.length`); lines < 100_003 {
		t.Errorf("the log has %d lines", lines)
	}
	if nodes := evaluate[int](b, `document.querySelectorAll("towline-log *").length`); nodes > 2000 {
		t.Errorf("the page draws %d elements for the log", nodes)
	}
	if title := evaluate[string](b, `document.title`); title != "chatty-1 · Towline" || evaluate[int](b, `document.querySelectorAll("towline-log img, towline-log script").length`) != 0 {
		t.Errorf("the log was taken for HTML: %q", title)
	}
	if class := evaluate[string](b, `[...document.querySelectorAll(".log-text span")].find((s) => s.innerText === "red")?.className ?? ""`); class != "t-fg1" {
		t.Errorf("red has the class %q", class)
	}
	b.press("/")
	b.until("the search has the focus", `document.activeElement.type === "search" && (document.activeElement.value = "", true)`)
	b.press("line 99999")
	b.until("what is searched for is in sight", `document.querySelector(".log-line.current mark")?.innerText === "line 99999"`)
	b.visit("/executions/chatty-1/stages/Test/1/actions/unit#L70000-L70002")
	b.until("the lines of the link are in sight", `document.querySelectorAll(".log-line.marked").length === 3`)
	b.shown("action")
	b.click(".log-bar button:nth-of-type(2)") // Fold
	b.until("the output of commands is folded", `document.querySelector("towline-log").visible.length < 20`)
}

func TestDashboardSteersAnExecution(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.repository("app", map[string]string{"towline.yaml": `pipeline: app
stages:
  - name: Gate
    actions: [{name: go-ahead, approve: {message: "Release it?"}}]
  - name: Release
    actions: [{name: release, build: {commands: ["test -e /tmp/never"]}}]
`}).push("First")
	b := s.open(t)
	b.visit("/executions/app-1")
	b.sees("go-ahead of stage Gate waits for your decision")
	b.sees("Release it?")
	b.shown("approval")
	b.click(".approval .button:not(.danger)")
	b.click("dialog[open] .primary")
	b.sees("by Grace Hopper")
	b.sees("Retry what failed") // The page hears of the end by itself.
	e := s.await("app-1")
	if e.Status != pipeline.ExecutionFailed || action(t, e, "go-ahead").By != "Grace Hopper" {
		t.Errorf("%s\n%s", e.Status, describe(e))
	}
	b.click(`#stage-Release .button`)
	b.sees("with the same commit and artifacts")
	b.click("dialog[open] .primary")
	b.sees("attempt 2")
	s.await("app-1")

	viewer := s.visitor(t)
	out, talk, code := s.run("accesskey", "create", "--role", "viewer", "-o", "json")
	if code != 0 {
		t.Fatal(talk)
	}
	id, _, _ := strings.Cut(after(out, `"id": "`), `"`)
	secret, _, _ := strings.Cut(after(out, `"secret": "`), `"`)
	viewer.signIn(id+":"+secret, "Eve")
	viewer.until("somebody is signed in", `document.querySelector("header.top") !== null`)
	viewer.visit("/executions/app-1")
	viewer.sees("Retry what failed")
	if can := evaluate[int](viewer, `document.querySelectorAll("#page .button:not(:disabled):not(.log-bar .button)").length`); can != 0 {
		t.Errorf("a viewer finds %d buttons", can)
	}
	if status := evaluate[int](viewer, `(() => { const x = new XMLHttpRequest(); x.open("POST", "/executions/app-1/retry", false); x.setRequestHeader("Content-Type", "application/x-www-form-urlencoded"); x.send("stage=Release"); return x.status; })()`); status != 403 {
		t.Errorf("a viewer's retry is answered %d", status)
	}
}

func after(text, part string) string {
	_, rest, _ := strings.Cut(text, part)
	return rest
}

// TestDashboardLosesNoLineWithItsServer kills the server while a page follows a
// log.
func TestDashboardLosesNoLineWithItsServer(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.repository("slow", map[string]string{"towline.yaml": `pipeline: slow
stages:
  - name: Test
    actions: [{name: unit, build: {commands: ['for i in $(seq 300); do echo tick $i; sleep 0.05; done']}}]
`}).push("First")
	b := s.open(t)
	b.visit("/executions/slow-1")
	b.until("some lines are there", `document.querySelector("towline-log")?.lines.some((l) => l.text.endsWith("tick 20"))`)
	s.kill(syscall.SIGKILL)
	b.sees("Connection lost")
	s.up()
	s.await("slow-1")
	b.until("the log is at its end", `document.querySelector("towline-log").settled`)
	b.until("the page is up to date", `document.querySelector("#page .status[data-tone=good]") !== null`)
	ticks := evaluate[[]string](b, `document.querySelector("towline-log").lines.map((l) => l.text).filter((t) => /tick \d+$/.test(t)).map((t) => t.replace(/.*tick /, ""))`)
	if len(ticks) != 300 || ticks[0] != "1" || ticks[299] != "300" {
		t.Errorf("%d lines have come, want 300: %q", len(ticks), ticks)
	}
}
