package forge

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// signingToken is how GitLab's signing tokens begin, which are keys and never
// sent, unlike its secret tokens, which are sent along with each message.
const signingToken = "whsec_"

// maxAge is how far the time of a signed message may be from ours.
const maxAge = 5 * time.Minute

// verify checks that the body was sent by who knows one of the secrets. It
// looks at all of them, so that the time it takes tells nothing of which.
func verify(kind Kind, header http.Header, body []byte, hook Hook) error {
	var secrets []string
	for _, s := range hook.Secrets {
		if s != "" {
			secrets = append(secrets, s)
		}
	}
	if len(secrets) == 0 {
		return &Error{Kind: ErrUnsigned, Message: "this webhook has no secret, so nobody can be believed",
			Hint: "give it one here and in the forge"}
	}
	switch kind {
	case GitHub:
		return verifySum(header, "X-Hub-Signature-256", "sha256=", body, secrets)
	case Bitbucket:
		return verifySum(header, "X-Hub-Signature", "sha256=", body, secrets)
	case Gitea:
		if header.Get("X-Forgejo-Signature") != "" {
			return verifySum(header, "X-Forgejo-Signature", "", body, secrets)
		}
		return verifySum(header, "X-Gitea-Signature", "", body, secrets)
	case GitLab:
		return verifyGitLab(header, body, secrets, hook.now())
	}
	return invalid("%q is no forge", kind)
}

// verifySum checks an HMAC-SHA256 of the body, in hexadecimal digits.
func verifySum(header http.Header, name, prefix string, body []byte, secrets []string) error {
	value := header.Get(name)
	if value == "" {
		return unsigned("there is no " + name)
	}
	digits, ok := strings.CutPrefix(value, prefix)
	sum, err := hex.DecodeString(digits)
	if !ok || err != nil || len(sum) != sha256.Size {
		return unsigned(name + " is not " + prefix + " and 64 hexadecimal digits")
	}
	matched := 0
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		matched |= subtle.ConstantTimeCompare(mac.Sum(nil), sum)
	}
	if matched == 0 {
		return unsigned(name + " does not fit to the body and the secret")
	}
	return nil
}

// verifyGitLab checks the signature of a signing token, if there is one, and
// else the secret token. A hook that has a signing token cannot be talked to
// with less.
func verifyGitLab(header http.Header, body []byte, secrets []string, now time.Time) error {
	var keys, tokens []string
	for _, s := range secrets {
		if key, ok := strings.CutPrefix(s, signingToken); ok {
			keys = append(keys, key)
		} else {
			tokens = append(tokens, s)
		}
	}
	if len(keys) > 0 {
		return verifySigned(header, body, keys, now)
	}
	if header.Get("X-Gitlab-Token") == "" {
		return unsigned("there is no X-Gitlab-Token")
	}
	// Digests, since a comparison of the texts would tell their length.
	given := sha256.Sum256([]byte(header.Get("X-Gitlab-Token")))
	matched := 0
	for _, token := range tokens {
		want := sha256.Sum256([]byte(token))
		matched |= subtle.ConstantTimeCompare(want[:], given[:])
	}
	if matched == 0 {
		return unsigned("X-Gitlab-Token is another one")
	}
	return nil
}

// verifySigned checks a signature as the Standard Webhooks specification has
// it: of the message's name, its time and the body.
func verifySigned(header http.Header, body []byte, keys []string, now time.Time) error {
	id, stamp, signatures := header.Get("Webhook-Id"), header.Get("Webhook-Timestamp"), header.Get("Webhook-Signature")
	if id == "" || stamp == "" || signatures == "" {
		return unsigned("there is no webhook-id, webhook-timestamp or webhook-signature, which a signing token leads to")
	}
	matched := 0
	for _, key := range keys {
		secret, err := base64.StdEncoding.DecodeString(key)
		if err != nil {
			return unsigned("the signing token that is kept here is not " + signingToken + " and base64")
		}
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(id + "." + stamp + "."))
		mac.Write(body)
		want := mac.Sum(nil)
		for signature := range strings.FieldsSeq(signatures) {
			digits, ok := strings.CutPrefix(signature, "v1,")
			sum, err := base64.StdEncoding.DecodeString(digits)
			if ok && err == nil {
				matched |= subtle.ConstantTimeCompare(want, sum)
			}
		}
	}
	if matched == 0 {
		return unsigned("webhook-signature does not fit to the body and the signing token")
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return unsigned("webhook-timestamp is no time")
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > maxAge || age < -maxAge {
		return &Error{Kind: ErrUnsigned, Message: "the message was signed more than " + maxAge.String() + " ago or in the future",
			Hint: "set the clocks of both servers right"}
	}
	return nil
}

func unsigned(why string) error {
	return &Error{Kind: ErrUnsigned, Message: why, Hint: "the secret must be the same here and in the forge's settings of the webhook"}
}
