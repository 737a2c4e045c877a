// Command echo is the application of the lab. It says who it is and what it received, over HTTP/1.1, cleartext HTTP/2
// and TLS, echoes lines over TCP and frames over WebSocket, passes CONNECT on, and calls on: GET /call?url=URL&host=HOST makes it send a
// request itself and puts the answer into its own.
//
//	echo -name reviews -version v1 -http 9080 -tcp 9000 -tls 9443 -hosts hosts
package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// answer is what the application says about itself and the request.
type answer struct {
	Name     string            `json:"name"`
	Version  string            `json:"version"`
	IP       string            `json:"ip"`
	Port     string            `json:"port"`
	Protocol string            `json:"protocol"`
	Method   string            `json:"method"`
	Path     string            `json:"path"`
	Host     string            `json:"host"`
	SNI      string            `json:"sni,omitempty"`
	Client   string            `json:"client,omitempty"` // name in the client's certificate, not verified
	Peer     string            `json:"peer"`
	Headers  map[string]string `json:"headers"`
	Calls    []call            `json:"calls,omitempty"`
	Count    int64             `json:"count"` // requests so far, this one included
}

// call is one request that was made on behalf of the caller.
type call struct {
	URL    string          `json:"url"`
	Status int             `json:"status"`
	Error  string          `json:"error,omitempty"`
	Answer json.RawMessage `json:"answer,omitempty"`
}

type app struct {
	name, version, ip, listen, certificate string
	chain                                  []string // URLs called for each GET / request
	client                                 *http.Client
	count                                  atomic.Int64
	recent                                 chan string // paths of the last requests, for /recent
}

func main() {
	name := flag.String("name", "echo", "who this is")
	version := flag.String("version", "v1", "its version")
	ip := flag.String("ip", "", "its address, for answers; it need not be one to listen at")
	listen := flag.String("listen", "", "address to open the ports at; empty: all")
	httpPorts := flag.String("http", "", "ports for HTTP/1.1 and cleartext HTTP/2, separated by commas")
	tcpPorts := flag.String("tcp", "", "ports that echo lines")
	tlsPorts := flag.String("tls", "", "ports for HTTPS with a certificate made at start")
	certificate := flag.String("certificate", "", "folder of tls.crt and tls.key for the TLS ports; empty: made at start")
	hosts := flag.String("hosts", "", "file of `IP NAME...` lines that /call looks names up in")
	chain := flag.String("calls", "", "URLs that each request to / calls on, separated by commas")
	flag.Parse()
	a := &app{name: *name, version: *version, ip: *ip, listen: *listen, certificate: *certificate, recent: make(chan string, 256)}
	if *chain != "" {
		a.chain = strings.Split(*chain, ",")
	}
	a.client = newClient(readHosts(*hosts))
	errs := make(chan error)
	for _, p := range ports(*httpPorts) {
		go func() { errs <- a.serveHTTP(p) }()
	}
	for _, p := range ports(*tcpPorts) {
		go func() { errs <- a.serveTCP(p) }()
	}
	for _, p := range ports(*tlsPorts) {
		go func() { errs <- a.serveTLS(p) }()
	}
	log.Fatal(<-errs)
}

func ports(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

// readHosts reads a file in the form of /etc/hosts.
func readHosts(file string) map[string]string {
	names := map[string]string{}
	b, err := os.ReadFile(file)
	if file != "" && err != nil {
		log.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 {
			for _, n := range f[1:] {
				names[n] = f[0]
			}
		}
	}
	return names
}

// newClient returns a client whose names are those of the hosts file.
func newClient(names map[string]string) *http.Client {
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		if ip, ok := names[host]; ok {
			addr = net.JoinHostPort(ip, port)
		}
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, addr)
	}
	return &http.Client{
		Timeout:       20 * time.Second,
		Transport:     &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (a *app) server() *http.Server {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true)
	return &http.Server{Handler: a, Protocols: p}
}

func (a *app) serveHTTP(port string) error {
	l, err := net.Listen("tcp", net.JoinHostPort(a.listen, port))
	if err != nil {
		return err
	}
	return a.server().Serve(l)
}

func (a *app) serveTLS(port string) error {
	cert, err := selfSigned(a.name)
	if a.certificate != "" {
		cert, err = tls.LoadX509KeyPair(filepath.Join(a.certificate, "tls.crt"), filepath.Join(a.certificate, "tls.key"))
	}
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", net.JoinHostPort(a.listen, port))
	if err != nil {
		return err
	}
	s := a.server()
	s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert}
	return s.ServeTLS(l, "", "")
}

// serveTCP answers each line with its own name and version before it.
func (a *app) serveTCP(port string) error {
	l, err := net.Listen("tcp", net.JoinHostPort(a.listen, port))
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			r := bufio.NewReader(c)
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				a.count.Add(1)
				fmt.Fprintf(c, "%s %s %s", a.name, a.version, line)
			}
		}()
	}
}

func selfSigned(name string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// ServeHTTP answers. Query parameters ask for behaviour: delay=1s, status=503, and only=VERSION to ask it of the
// applications of one version alone.
func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		a.webSocket(w, r)
		return
	}
	if r.Method == http.MethodConnect {
		a.connect(w, r)
		return
	}
	q := r.URL.Query()
	if only := q.Get("only"); only != "" && only != a.version {
		q = nil
	}
	if r.URL.Path == "/recent" {
		a.serveRecent(w)
		return
	}
	n := a.count.Add(1)
	select {
	case a.recent <- r.Host + r.URL.Path:
	default:
	}
	if d, err := time.ParseDuration(q.Get("delay")); err == nil {
		select {
		case <-time.After(d):
		case <-r.Context().Done():
		}
	}
	out := a.describe(r, n)
	switch {
	case r.URL.Path == "/call":
		out.Calls = append(out.Calls, a.call(r, q.Get("url"), q.Get("host")))
	case len(a.chain) > 0 && r.URL.Path != "/healthz":
		for _, u := range a.chain {
			out.Calls = append(out.Calls, a.call(r, u, ""))
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Echo", a.name+"/"+a.version)
	status := http.StatusOK
	if s, err := strconv.Atoi(q.Get("status")); err == nil && s >= 200 && s <= 599 {
		status = s
	}
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(out)
}

func (a *app) describe(r *http.Request, n int64) answer {
	out := answer{Name: a.name, Version: a.version, IP: a.ip, Protocol: r.Proto, Method: r.Method, Path: r.URL.RequestURI(), Host: r.Host, Peer: r.RemoteAddr, Headers: map[string]string{}, Count: n}
	if l, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		_, out.Port, _ = net.SplitHostPort(l.String())
	}
	if r.TLS != nil {
		out.SNI = r.TLS.ServerName
		if c := r.TLS.PeerCertificates; len(c) > 0 {
			out.Client = strings.Join(c[0].DNSNames, ",")
		}
	}
	for k, v := range r.Header {
		out.Headers[strings.ToLower(k)] = strings.Join(v, ",")
	}
	return out
}

// serveRecent lists the requests since the last call, which is how a test sees mirrored ones.
func (a *app) serveRecent(w http.ResponseWriter) {
	list := []string{}
	for {
		select {
		case p := <-a.recent:
			list = append(list, p)
		default:
			json.NewEncoder(w).Encode(list)
			return
		}
	}
}

// call sends a request on, with the headers that tie a trace together and the user.
func (a *app) call(in *http.Request, url, host string) call {
	out := call{URL: url}
	req, err := http.NewRequestWithContext(in.Context(), http.MethodGet, url, nil)
	if err != nil {
		out.Error = err.Error()
		return out
	}
	for _, h := range []string{"x-request-id", "end-user", "traceparent"} {
		if v := in.Header.Get(h); v != "" {
			req.Header.Set(h, v)
		}
	}
	if host != "" {
		req.Host = host
	}
	resp, err := a.client.Do(req)
	if err != nil {
		out.Error = err.Error()
		return out
	}
	defer resp.Body.Close()
	out.Status = resp.StatusCode
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		out.Error = err.Error()
	}
	if json.Valid(body) {
		out.Answer = body
	} else if out.Error == "" {
		out.Error = strings.TrimSpace(string(body))
	}
	return out
}

// connect is a forward proxy for anything over TCP.
func (a *app) connect(w http.ResponseWriter, r *http.Request) {
	up, err := net.DialTimeout("tcp", r.Host, 5*time.Second)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer up.Close()
	h, ok := w.(http.Hijacker)
	if !ok {
		http.Error(w, "CONNECT needs HTTP/1.1 here", http.StatusHTTPVersionNotSupported)
		return
	}
	c, rw, err := h.Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	fmt.Fprint(c, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() {
		io.Copy(up, rw)
		up.Close()
	}()
	io.Copy(c, up)
}

// webSocket accepts an upgrade and sends back whatever comes, byte by byte.
func (a *app) webSocket(w http.ResponseWriter, r *http.Request) {
	h, ok := w.(http.Hijacker)
	if !ok {
		http.Error(w, "no upgrade on this connection", http.StatusUpgradeRequired)
		return
	}
	c, rw, err := h.Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:]))
	rw.Flush()
	io.Copy(c, rw)
}
