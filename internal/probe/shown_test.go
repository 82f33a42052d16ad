package probe

import (
	"net/url"
	"strings"
	"testing"
)

func TestAURLIsShownWithoutItsCredentials(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"http://web.example.com":                                   "http://web.example.com",
		"https://anna:hunter2@web.example.com:8443/a%2Fb":          "https://web.example.com:8443/a%2Fb",
		"https://ghp_hunter2@web.example.com/":                     "https://web.example.com/",
		"https://web.example.com/health?token=hunter2":             "https://web.example.com/health?...",
		"https://web.example.com/health?token=hunter2#key=hunter2": "https://web.example.com/health?...",
		"https://web.example.com/#hunter2":                         "https://web.example.com/",
		"anna:hunter2@web.example.com/":                            "a URL without a host",
		"hunter2":                                                  "a URL without a host",
	} {
		u, err := url.Parse(given)
		if err != nil {
			t.Fatal(err)
		}
		if got := Shown(u); got != want {
			t.Errorf("%s is shown as %s, want %s", given, got, want)
		}
	}
}

func TestAURLThatIsNoneIsNotShown(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"http://anna:hunter2/x@web.example.com", "http://anna:hunter2%zz@web", "anna:hunter2@web", "ftp://anna:hunter2@web", "://hunter2", "http://hunter2@web:port"} {
		for name, parse := range map[string]func(string) error{
			"ParseURL": func(text string) error { _, err := ParseURL(text); return err },
			"Validate": func(text string) error { return Config{URL: text}.Validate() },
		} {
			if err := parse(text); err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s of %s: %v", name, text, err)
			}
		}
	}
}
