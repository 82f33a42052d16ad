package kubectl

import (
	"os"
	"regexp"
	"strings"
)

// line is a command as a person would type it into a shell. What it leaves out
// changes nothing: where to find a kubeconfig that was not the user's own, and
// in which form the result is printed.
func (m *Method) line(args ...string) string {
	words := []string{"kubectl"}
	if file, name, ok := m.cluster.KubeconfigContext(); ok {
		if file != "" && file != os.Getenv("KUBECONFIG") {
			words = append(words, "--kubeconfig", file)
		}
		words = append(words, "--context", name)
	} else {
		words = append(words, "--context", m.cluster.Context)
	}
	words = append(words, args...)
	for i, word := range words {
		words[i] = quote(word)
	}
	return strings.Join(words, " ")
}

var plain = regexp.MustCompile(`^[A-Za-z0-9@%+=:,./_-]+$`)

// quote makes one word for a shell of a text.
func quote(text string) string {
	if plain.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
