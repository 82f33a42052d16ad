package probe

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"

	"github.com/towline/towline/internal/pipeline"
)

func TestConnectionsComeFromTheAddressesInTurn(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		mu.Lock()
		defer mu.Unlock()
		seen[host]++
	}))
	t.Cleanup(server.Close)
	from := []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")}
	p := start(t, Config{URL: server.URL, Rate: 200, From: from})
	until(t, p, "some requests are answered", requests(40))
	if v := p.Stop(); v.Lost > 0 {
		t.Errorf("lost %d requests: %v", v.Lost, v.Losses)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen) != 2 || seen["127.0.0.2"] == 0 || seen["127.0.0.3"] == 0 {
		t.Errorf("requests came from %v, want both of %v and nothing else", seen, from)
	}
}

func TestAnAddressOfAnotherMachineIsNoLossOfTheApplication(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	p := start(t, Config{URL: server.URL, From: []netip.Addr{netip.MustParseAddr("192.0.2.1")}})
	until(t, p, "a request cannot be sent", func(v pipeline.Verdict) bool { return v.NotSent > 0 })
	if v := p.Stop(); v.Requests > 0 {
		t.Errorf("%d requests count as sent, want none", v.Requests)
	}
}
