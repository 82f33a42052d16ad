// Package probe sends requests through a deployment and counts what is lost.
// Its noun is the prober; its counts are the deployment's verdict.
//
// The prober is open loop: it sends at a fixed rate however slowly the
// application answers, as independent users would. Every second request goes
// out on a connection of its own, the others on connections that are kept
// open and used in turn, because a cut-over harms the two in different ways:
// new connections meet endpoints that are gone, kept ones are cut when the
// pod they lead to ends.
//
// No request is ever sent twice. A client that quietly repeats what failed
// would hide the very thing that is measured; see transport.go.
//
// The room knows a URL and how to reach it, nothing of Kubernetes: who wants
// to probe through a cluster hands in a transport.
package probe

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/towline/towline/internal/pipeline"
)

// The defaults of Config, and its limits.
const (
	DefaultRate    = 100
	MaxRate        = 20_000
	DefaultTimeout = 5 * time.Second
)

// Config says what a prober sends and where. Only URL is required.
type Config struct {
	// URL is what every request asks for: http or https. Redirects are not
	// followed.
	URL string

	// Method is the method of every request, default GET, which does no harm
	// to an application.
	Method string

	// Body is what every request carries. A POST without one sends a short
	// plain text, so that the application meets what it would of its users.
	Body string

	// Rate is in requests per second over both lanes, default 100.
	Rate int

	// Timeout is how long an answer may take, up to its last byte, before the
	// request counts as lost. Default 5 s.
	Timeout time.Duration

	// From are addresses of this machine that connections come from in turn,
	// as if several clients sent them; by default the machine chooses. A
	// single address has some 28,000 ports for a target, so at a high rate it
	// takes each again within a minute, when the routers on the way may still
	// remember where the last connection of that port led.
	From []netip.Addr

	// Transport makes the way of the requests when the prober's own, straight
	// to the URL, is not the right one: it is called once with false, for the
	// fresh lane, and once for each kept connection with true. It must not
	// repeat requests; NewTransport is a good start for one that needs a TLS
	// configuration or credentials.
	Transport func(keepAlive bool) http.RoundTripper

	// Via says in a few words which way that is, for the verdict.
	Via string

	// Header is sent with each request. Host in it replaces the URL's, and
	// Authorization the user and password in the URL.
	Header http.Header

	// Logger hears of the first loss of each cause. Default: nobody.
	Logger *slog.Logger
}

// Prober sends requests until it is stopped. All methods are safe for
// concurrent use.
type Prober struct {
	cfg     Config
	target  *url.URL
	log     *slog.Logger
	lanes   [2]sender
	slots   chan struct{} // one for each request in flight
	tally   *tally
	started time.Time
	resting atomic.Bool

	cancel context.CancelFunc // ends the pace
	paced  chan struct{}      // closed when no more requests will start
	flying sync.WaitGroup     // the requests in flight

	stop  sync.Once
	final pipeline.Verdict
}

// Start begins to send. Requests go out until Stop is called or ctx ends;
// those in flight at that moment are given their time to be answered in both
// cases, so that each request sent is counted. Stop must be called, also
// after ctx has ended.
func Start(ctx context.Context, cfg Config) (*Prober, error) {
	p, err := newProber(cfg)
	if err != nil {
		return nil, err
	}
	pace, cancel := context.WithCancel(ctx)
	p.cancel = cancel
	p.started = time.Now()
	p.tally.begin(p.started)
	go func() {
		defer close(p.paced)
		p.pace(pace)
	}()
	return p, nil
}

// Validate says what Start would say of the configuration.
func (c Config) Validate() error {
	_, err := newProber(c)
	return err
}

func newProber(cfg Config) (*Prober, error) {
	target, err := ParseURL(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("read the URL to probe: %w", err)
	}
	if cfg.Rate < 0 || cfg.Rate > MaxRate {
		return nil, fmt.Errorf("probe %s: rate %d is not between 1 and %d", Shown(target), cfg.Rate, MaxRate)
	}
	cfg = cfg.withDefaults()
	p := &Prober{
		cfg:    cfg,
		target: target,
		log:    cfg.Logger.With("target", Shown(target)),
		slots:  make(chan struct{}, maxInFlight(cfg)),
		tally:  newTally(),
		paced:  make(chan struct{}),
	}
	request, err := cfg.request()
	if err != nil {
		return nil, err
	}
	for l := range p.lanes {
		if p.lanes[l], err = cfg.sender(lane(l), request); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (c Config) withDefaults() Config {
	c.Method = cmp.Or(c.Method, http.MethodGet)
	c.Rate = cmp.Or(c.Rate, DefaultRate)
	c.Timeout = cmp.Or(max(c.Timeout, 0), DefaultTimeout)
	if c.Body == "" && c.Method == http.MethodPost {
		c.Body = "probe\n"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// sender makes the way of a lane.
func (c Config) sender(l lane, request *http.Request) (sender, error) {
	kept := 0
	if l == keepAlive {
		kept = keptConnections(c.Rate)
	}
	if c.Transport == nil {
		if c.Body != "" {
			request.Body = io.NopCloser(strings.NewReader(c.Body))
		}
		return newWire(request, kept, c.From)
	}
	s := &roundTrips{request: request, body: c.Body}
	for range max(kept, 1) {
		s.transports = append(s.transports, c.Transport(l == keepAlive))
	}
	return s, nil
}

// keptConnections is how many connections the keep-alive lane uses in turn:
// enough that every pod of an application is likely to hold one, and so few
// that each is used at least about every other second.
func keptConnections(rate int) int { return min(max(rate/4, 1), 16) }

// maxInFlight bounds the memory of a prober whose target does not answer at
// all: every request of one timeout, and half a second more.
func maxInFlight(cfg Config) int {
	return min(int(math.Ceil(float64(cfg.Rate)*(cfg.Timeout.Seconds()+0.5))), 8192)
}

// Snapshot is the verdict so far. It is cheap enough for a display that is
// redrawn many times a second. It counts the requests whose fate is known.
func (p *Prober) Snapshot() pipeline.Verdict {
	select {
	case <-p.paced:
	default:
		return p.verdict(time.Now())
	}
	return p.verdict(p.tally.end())
}

// Mark puts a mark on the timeline, such as the name of the step that the
// deployment begins now. Of more than 40 marks the latest are kept, and of a
// text the first 70 characters.
func (p *Prober) Mark(text string) { p.MarkAt(text, time.Now()) }

// MarkAt is Mark for something that happened a moment ago.
func (p *Prober) MarkAt(text string, at time.Time) { p.tally.mark(text, at) }

// Stop ends the sending, waits for the requests in flight, which takes at most
// the timeout of one, and returns the final verdict. Further calls return the
// same.
func (p *Prober) Stop() pipeline.Verdict {
	p.stop.Do(func() {
		p.cancel()
		<-p.paced
		p.await()
		p.tally.close(time.Now())
		p.final = p.verdict(p.tally.end())
		for _, s := range p.lanes {
			s.close()
		}
	})
	return p.final
}

// await waits for the requests in flight. A transport that does not heed its
// context cannot hold it up for long: its requests count as timeouts then.
func (p *Prober) await() {
	done := make(chan struct{})
	go func() { p.flying.Wait(); close(done) }()
	limit := time.NewTimer(p.cfg.Timeout + time.Second)
	defer limit.Stop()
	select {
	case <-done:
	case <-limit.C:
	}
}

func (p *Prober) verdict(until time.Time) pipeline.Verdict {
	v := p.tally.verdict(until)
	v.Target, v.Via = Shown(p.target), p.cfg.Via
	return v
}
