package notify

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/wneessen/go-mail"

	"github.com/towline/towline/internal/store"
)

// mail sends a message by SMTP. A server that says no for good is not asked
// again.
func (n *Notifier) mail(ctx context.Context, way SMTP, notice store.Notice) error {
	letter, err := n.letter(way, notice)
	if err != nil {
		return err
	}
	client, err := n.mailer(ctx, way)
	if err != nil {
		return err
	}
	if err := client.DialWithContext(ctx); err != nil {
		return err
	}
	err = client.Send(letter)
	// How the conversation ends does not matter to what has been taken.
	_ = client.Close()
	if letter.IsDelivered() {
		return nil
	}
	if said, ok := errors.AsType[*mail.SendError](err); ok {
		return &refusal{message: "the mail server refused it: " + said.Error(), final: !said.IsTemp() && said.ErrorCode() >= 500}
	}
	return err
}

func (n *Notifier) letter(way SMTP, notice store.Notice) (*mail.Msg, error) {
	var said message
	if err := json.Unmarshal(notice.Body, &said); err != nil {
		return nil, fmt.Errorf("read event %s: %w", notice.Event, err)
	}
	letter := mail.NewMsg()
	if err := letter.From(way.From); err != nil {
		return nil, fmt.Errorf("write from %s: %w", way.From, err)
	}
	if err := letter.To(way.To...); err != nil {
		return nil, fmt.Errorf("write to %s: %w", strings.Join(way.To, ", "), err)
	}
	letter.Subject("[towline] " + said.Title)
	letter.SetDateWithValue(n.Now())
	// The id is the event's, so that a mailbox can tell one that comes twice.
	letter.SetMessageIDWithValue(notice.Event + "@towline")
	letter.SetUserAgent("Towline/" + n.Version)
	letter.SetGenHeader("Auto-Submitted", "auto-generated")
	letter.SetBodyString(mail.TypeTextPlain, strings.Join(append([]string{said.Title, ""}, said.Lines...), "\n")+"\n")
	return letter, nil
}

// mailer is a connection to be made. Without encryption nothing is sent, unless
// that was asked for. The connection ends with ctx.
func (n *Notifier) mailer(ctx context.Context, way SMTP) (*mail.Client, error) {
	host, port, err := net.SplitHostPort(way.Server)
	if err != nil {
		return nil, fmt.Errorf("read mail server %s: %w", way.Server, err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("read mail server %s: %w", way.Server, err)
	}
	encrypted := &tls.Config{ServerName: host, RootCAs: n.RootCAs, MinVersion: tls.VersionTLS12}
	dial := (&net.Dialer{}).DialContext
	options := []mail.Option{mail.WithPort(number), mail.WithTimeout(n.Timeout), mail.WithoutNoop(), mail.WithTLSConfig(encrypted)}
	switch way.Security {
	case TLS:
		options = append(options, mail.WithSSL())
		dial = (&tls.Dialer{Config: encrypted}).DialContext
	case Plain:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	case StartTLS:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	default:
		return nil, fmt.Errorf("no security %q is known here: add the notification again", way.Security)
	}
	options = append(options, mail.WithDialContextFunc(func(dialing context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(dialing, network, address)
		if err == nil {
			context.AfterFunc(ctx, func() { _ = conn.Close() })
		}
		return conn, err
	}))
	if way.User != "" {
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(way.User), mail.WithPassword(way.Password))
	}
	return mail.NewClient(host, options...)
}
