package replay

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/meshc/meshc/internal/watchdog"
)

const (
	textLine = `[2026-03-02T09:00:00.112Z] "GET /reviews/0?a=b HTTP/1.1" 403 RBAC rbac_access_denied_matched_policy[none] - "-" 0 295 11 11 "1.2.3.4,10.0.0.9" "Mozilla/5.0 (X11; Linux)" "5c8f" "reviews:9080" "10.8.3.1:9080" outbound|9080|v1|reviews.bookinfo.svc.cluster.local 10.8.1.1:39152 10.96.8.3:9080 [::ffff:10.8.1.1]:40516 www.example.com everyone`
	jsonLine = `{"method":"GET","path":"/reviews/0?a=b","protocol":"HTTP/1.1","response_code":403,"response_flags":"RBAC","response_code_details":"rbac_access_denied_matched_policy[none]","x_forwarded_for":"1.2.3.4,10.0.0.9","user_agent":"Mozilla/5.0 (X11; Linux)","authority":"reviews:9080","upstream_cluster":"outbound|9080|v1|reviews.bookinfo.svc.cluster.local","downstream_local_address":"10.96.8.3:9080","downstream_remote_address":"10.8.1.1:40516","requested_server_name":"www.example.com","route_name":null}`
	tcpLine  = `[2026-03-02T09:00:00.112Z] "- - -" 0 - - - "-" 10 20 11 - "-" "-" "-" "-" "10.8.3.1:5432" outbound|5432||db.shop.svc.cluster.local 10.8.1.1:39152 10.96.8.3:5432 10.8.1.1:40516 - -`
)

func TestParseLine(t *testing.T) {
	want := entry{Method: "GET", Path: "/reviews/0?a=b", Protocol: "HTTP/1.1", Code: 403, Flags: "RBAC", Details: "rbac_access_denied_matched_policy[none]", ForwardedFor: "1.2.3.4,10.0.0.9",
		UserAgent: "Mozilla/5.0 (X11; Linux)", Authority: "reviews:9080", Cluster: "outbound|9080|v1|reviews.bookinfo.svc.cluster.local",
		Local: netip.MustParseAddrPort("10.96.8.3:9080"), Remote: netip.MustParseAddrPort("10.8.1.1:40516"), ServerName: "www.example.com"}
	withPod := want
	withPod.Pod = "web-7d4b9c6f5d-x2x7k"
	quoted := want
	quoted.Path = `/a" "b`
	for line, want := range map[string]entry{
		textLine:               want,
		jsonLine:               want,
		"  " + textLine + "\r": want,
		"[pod/web-7d4b9c6f5d-x2x7k/istio-proxy] " + textLine:                            withPod,
		"2026-03-02T09:00:00.1Z stdout F " + jsonLine:                                   want,
		`{"log":"` + strings.ReplaceAll(textLine, `"`, `\"`) + `\n","stream":"stdout"}`: want,
		strings.Replace(textLine, "/reviews/0?a=b", `/a" "b`, 1):                        quoted,
		tcpLine: {Cluster: "outbound|5432||db.shop.svc.cluster.local", Local: netip.MustParseAddrPort("10.96.8.3:5432"), Remote: netip.MustParseAddrPort("10.8.1.1:40516")},
	} {
		got, err := parseLine([]byte(line))
		if err != nil || got != want {
			t.Errorf("%s\n%v\n%+v", line, err, got)
		}
	}
	for line, want := range map[string]error{
		`10.0.0.1 - - [02/Mar/2026:09:00:00 +0000] "GET / HTTP/1.1" 200 17 "-" "curl"`: errFormat,
		`[2026-03-02T09:00:00.112Z] "GET / HTTP/1.1" 200`:                              errCut,
		`[2026-03-02T09`:                             errCut,
		textLine[:200]:                               errCut,
		textLine[:len(textLine)-60]:                  errCut,
		jsonLine[:200]:                               errCut,
		`{"level":"info","msg":"started"}`:           errFields,
		`{"method":["GET"]}`:                         errFields,
		`{"log":"started\n","stream":"stdout"}`:      errFormat,
		"warning envoy config: gRPC config rejected": errFormat,
		"":           errFormat,
		"[pod/web] ": errCut,
		"[pod/web":   errCut,
		`[2026-03-02T09:00:00.112Z] "GET / HTTP/1.1" 200 - a b "c" d e f g "h" "i" "j" "k" "l" m n o p q`: errFormat,
	} {
		if got, err := parseLine([]byte(line)); !errors.Is(err, want) {
			t.Errorf("%s: %v, %+v; want %v", line, err, got, want)
		}
	}
}

func FuzzParseLine(f *testing.F) {
	f.Add([]byte(textLine))
	f.Add([]byte(jsonLine))
	f.Add([]byte(tcpLine))
	f.Add([]byte(`{"log":"{\"log\":\"x\"}"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		defer watchdog.Watch(t)()
		e, err := parseLine(line)
		if err == nil && e.Code > 999 && len(line) == 0 {
			t.Errorf("%+v", e)
		}
	})
}

func FuzzReadCallers(f *testing.F) {
	f.Add("# pods\n10.0.0.1 shop web-1\n10.0.0.2   shop/web\n<none> shop waiting\n\n::ffff:10.0.0.3 a b\n")
	f.Fuzz(func(t *testing.T, text string) {
		defer watchdog.Watch(t)()
		got, err := ReadCallers(strings.NewReader(text))
		for a, name := range got {
			if err == nil && (a.Is4In6() || strings.Count(name, "/") == 0) {
				t.Errorf("%v is %q", a, name)
			}
		}
	})
}

func TestReadCallers(t *testing.T) {
	got, err := ReadCallers(strings.NewReader("# pods\n10.0.0.1 shop web-1\n10.0.0.2   shop/web\n<none> shop waiting\n\n::ffff:10.0.0.3 a b\n"))
	if err != nil || len(got) != 3 || got[netip.MustParseAddr("10.0.0.1")] != "shop/web-1" || got[netip.MustParseAddr("10.0.0.3")] != "a/b" {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range []string{"shop web", "10.0.0.1", "10.0.0.1 web", "10.0.0.1 a b c"} {
		if _, err := ReadCallers(strings.NewReader(bad)); err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestTableIsBounded(t *testing.T) {
	tab := newTable[int](100)
	first := shapeKey("")
	for i := range 1000 {
		tab.put(shapeKey(strings.Repeat("x", i)), i)
		if v, ok := tab.get(first); !ok && i < 50 || ok && v != 0 {
			t.Fatalf("%d: %d %v", i, v, ok)
		}
	}
	if len(tab.newer)+len(tab.older) > 100 {
		t.Errorf("%d and %d are kept", len(tab.newer), len(tab.older))
	}
}
