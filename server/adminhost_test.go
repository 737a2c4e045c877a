package server

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// The admin port answers by address and by the names it has; a page whose name was led to it reads nothing.
func TestAdminHost(t *testing.T) {
	srv := New(sealed(t, base(1)...), Options{AdminNames: []string{"meshc.mesh.svc", "admin.local"}})
	srv.opts.AdminAddress = "127.0.0.1:0"
	web, _, err := srv.openAdmin()
	if err != nil {
		t.Fatal(err)
	}
	defer web.Close()
	h := web.Handler
	for host, want := range map[string]int{
		"127.0.0.1:18001": http.StatusOK, "127.0.0.1": http.StatusOK, "10.4.5.6:18001": http.StatusOK, "[::1]:18001": http.StatusOK, "[fe80::1]": http.StatusOK,
		"localhost:18001": http.StatusOK, "LOCALHOST.": http.StatusOK, "admin.local:18001": http.StatusOK, "meshc.mesh.svc:80": http.StatusOK, "": http.StatusOK,
		"evil.example": http.StatusMisdirectedRequest, "evil.example:18001": http.StatusMisdirectedRequest, "localhost.evil.example": http.StatusMisdirectedRequest,
		"127.0.0.1.evil.example": http.StatusMisdirectedRequest, "0x7f.1:18001": http.StatusMisdirectedRequest, "[evil]:1": http.StatusMisdirectedRequest,
	} {
		for _, path := range []string{"/healthz", "/readyz", "/metrics", "/status"} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Host = host
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("%s by %q: %d, want %d", path, host, w.Code, want)
			}
		}
	}
}
