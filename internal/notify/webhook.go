package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/towline/towline/internal/store"
)

const (
	mostRedirects = 3
	// mostAnswer bounds what is read of an answer, so that the connection can
	// be used again. Nothing of it is kept.
	mostAnswer = 64 << 10
)

// newHTTP is a client that checks certificates, takes no long answers and goes
// nowhere else than it was told.
func newHTTP(config Config) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: config.RootCAs, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    10 * time.Second,
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    1,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: mostAnswer,
		},
		CheckRedirect: checkRedirect,
	}
}

// checkRedirect follows a redirect on the same host: what is sent, and its
// signature, is meant for nobody else.
func checkRedirect(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	switch {
	case next.URL.Scheme != first.Scheme || next.URL.Host != first.Host:
		return fmt.Errorf("it redirects to another host, %s://%s: give the URL there itself", next.URL.Scheme, next.URL.Host)
	case next.Method != via[0].Method:
		return fmt.Errorf("it redirects with %s, after which nothing would be sent: give the URL there itself", next.Response.Status)
	case len(via) > mostRedirects:
		return fmt.Errorf("it redirects more than %d times", mostRedirects)
	}
	return nil
}

// postEvent sends a webhook, signed as Standard Webhooks has it.
func (n *Notifier) postEvent(ctx context.Context, target Target, notice store.Notice) error {
	key, err := target.key()
	if err != nil {
		return err
	}
	at := strconv.FormatInt(n.Now().Unix(), 10)
	return n.post(ctx, target.URL, notice.Body, map[string]string{
		"Webhook-Id": notice.Event, "Webhook-Timestamp": at, "Webhook-Signature": sign(key, notice.Event, at, notice.Body),
	})
}

// sign is the signature of a body that is sent with an id at a time.
func sign(key []byte, id, at string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + at + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func (n *Notifier) post(ctx context.Context, to string, body []byte, headers map[string]string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return errors.New("its URL cannot be read: add the notification again")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Towline/"+n.Version)
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	response, err := n.http.Do(req)
	if err != nil {
		// A *url.Error quotes the URL.
		if outer, ok := errors.AsType[*url.Error](err); ok {
			err = outer.Err
		}
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, mostAnswer))
	if response.StatusCode/100 == 2 {
		return nil
	}
	return &refusal{
		message: fmt.Sprintf("it answered %d %s", response.StatusCode, http.StatusText(response.StatusCode)),
		final:   response.StatusCode == http.StatusGone,
		after:   retryAfter(response.Header.Get("Retry-After"), n.Now()),
	}
}

// retryAfter reads the header of that name, which gives seconds or a date: at
// most the longest pause.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(text); err == nil && seconds > 0 {
		return time.Duration(min(seconds, int(longestPause/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(longestPause, max(0, at.Sub(now)))
	}
	return 0
}
