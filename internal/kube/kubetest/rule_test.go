package kubetest

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestARequestIsReadAsTheAPIServerReadsIt(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]call{
		"GET /api/v1/namespaces/shop/pods/web-1":                               {"get", "pods", "web-1"},
		"GET /api/v1/namespaces/shop/pods?labelSelector=a":                     {"list", "pods", ""},
		"GET /api/v1/namespaces/shop/pods?watch=true":                          {"watch", "pods", ""},
		"GET /api/v1/namespaces/shop/pods/web-1/log?follow=true":               {"get", "pods/log", "web-1"},
		"POST /api/v1/namespaces/shop/secrets?fieldManager=towline":            {"create", "secrets", ""},
		"PATCH /apis/apps/v1/namespaces/shop/deployments/web":                  {"patch", "deployments", "web"},
		"PUT /apis/coordination.k8s.io/v1/namespaces/shop/leases/towline-web":  {"update", "leases", "towline-web"},
		"DELETE /apis/batch/v1/namespaces/shop/jobs/migrate":                   {"delete", "jobs", "migrate"},
		"GET /api/v1/namespaces/shop":                                          {"get", "namespaces", "shop"},
		"PUT /api/v1/namespaces/shop/finalize":                                 {"update", "namespaces/finalize", "shop"},
		"POST /api/v1/namespaces":                                              {"create", "namespaces", ""},
		"GET /api/v1/nodes":                                                    {"list", "nodes", ""},
		"GET /apis/discovery.k8s.io/v1/namespaces/shop/endpointslices?watch=1": {"watch", "endpointslices", ""},
		"GET /api/v1/namespaces/shop/services/web:80/proxy/healthz":            {"get", "services/proxy", "web:80"},
		"GET /version":      {verb: "get"},
		"GET /apis/apps/v1": {verb: "get"},
		"GET /api":          {verb: "get"},
		"GET /":             {verb: "get"},
	} {
		method, url, _ := cut(target)
		if got := callOf(httptest.NewRequest(method, url, http.NoBody)); got != want {
			t.Errorf("%s: %+v, want %+v", target, got, want)
		}
	}
}

func cut(target string) (method, url string, ok bool) {
	for i := range target {
		if target[i] == ' ' {
			return target[:i], target[i+1:], true
		}
	}
	return "", target, false
}

func TestARuleMatchesWhatItsFaultCanBefall(t *testing.T) {
	t.Parallel()
	get, patch := call{verb: "get", resource: "deployments"}, call{verb: "patch", resource: "deployments"}
	watch, proxied := call{verb: "watch", resource: "pods"}, call{verb: "create", resource: "services/proxy"}
	for _, c := range []struct {
		rule Rule
		call call
		want bool
	}{
		{Rule{Fault: Conflict}, patch, true},
		{Rule{Fault: Conflict}, get, false},
		{Rule{Fault: Lost}, get, false},
		{Rule{Fault: Broken}, get, true},
		{Rule{Fault: Dropped}, watch, true},
		{Rule{Fault: Dropped}, get, false},
		{Rule{Fault: Busy, Verb: "patch"}, get, false},
		{Rule{Fault: Busy, Verb: "patch", Resource: "deployments"}, patch, true},
		{Rule{Fault: Busy, Resource: "services"}, patch, false},
		{Rule{Fault: Busy}, proxied, false},
		{Rule{Fault: Busy}, call{verb: "get"}, false},
	} {
		if got := c.rule.matches(c.call); got != c.want {
			t.Errorf("%+v matches %+v: %t, want %t", c.rule, c.call, got, c.want)
		}
	}
}

func TestARuleHitsTheRequestsThatItNames(t *testing.T) {
	t.Parallel()
	hits := func(r Rule, seed uint64) (found []int) {
		for n := 1; n <= 200; n++ {
			if r.hits(seed, 0, n) {
				found = append(found, n)
			}
		}
		return found
	}
	for name, c := range map[string]struct {
		rule        Rule
		first, many int
	}{
		"the first one by default": {Rule{}, 1, 1},
		"the third":                {Rule{From: 3}, 3, 1},
		"two from the fifth on":    {Rule{From: 5, Count: 2}, 5, 2},
		"all from the 101st on":    {Rule{From: 101, Count: -1}, 101, 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := hits(c.rule, 1); len(got) != c.many || got[0] != c.first {
				t.Errorf("hits %v, want %d from %d on", got, c.many, c.first)
			}
		})
	}
	t.Run("by chance, the same ones for the same seed", func(t *testing.T) {
		t.Parallel()
		rule := Rule{Count: -1, Chance: 0.3}
		one, again, other := hits(rule, 1), hits(rule, 1), hits(rule, 2)
		if len(one) < 30 || len(one) > 90 {
			t.Errorf("%d of 200 are hit by a chance of 0.3", len(one))
		}
		if !equal(one, again) || equal(one, other) {
			t.Errorf("seed 1 hits %v, then %v; seed 2 hits %v", one, again, other)
		}
	})
}

func equal(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
