package notify

import (
	"encoding/json"
	"strings"
)

// slackText takes the meaning away from what chats act on: Slack's <!channel>
// and links in angle brackets, and the mentions of those that speak its form,
// since a commit's message may hold anything.
var slackText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "@", "@\u200b")

// slackBody is a message as incoming webhooks take it.
func slackBody(said message) ([]byte, error) {
	text := strings.Join(append([]string{"*" + said.Title + "*"}, said.Lines...), "\n")
	return json.Marshal(map[string]string{"text": slackText.Replace(text)})
}
