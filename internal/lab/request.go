//go:build linux

package lab

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Response is what came back for a request.
type Response struct {
	Status  int
	Header  http.Header
	Body    string
	Elapsed time.Duration
	Echo    Echo // what the application said, zero when the answer is not its own
}

// Echo is what the application of the lab says about itself and what it received.
type Echo struct {
	Name, Version, IP, Port, Protocol, Method, Path, Host, SNI, Client, Peer string

	Headers map[string]string
	Count   int
	Calls   []struct {
		URL    string
		Status int
		Error  string
		Answer *Echo
	}
}

// Request is one to send.
type Request struct {
	Method  string // default GET
	URL     string // the host may be a name of a Service or ServiceEntry in the repository, or an address
	Host    string // Host header; default the URL's
	Headers map[string]string
	Body    string
}

// clientIn returns an HTTP client whose connections start in a namespace. Redirects are answers, not followed.
func clientIn(ns *namespace, resolve func(string) string) *http.Client {
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		if resolve != nil {
			ip := resolve(host)
			if ip == "" {
				return nil, fmt.Errorf("lab: %s is no address, and no Service or ServiceEntry with an address has this name", host)
			}
			addr = net.JoinHostPort(ip, port)
		}
		return ns.dial(ctx, network, addr)
	}
	return &http.Client{
		Timeout:       30 * time.Second,
		Transport:     &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 64},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Client returns an HTTP client that is the application of a workload, as far as its proxy can tell.
func (l *Lab) Client(from string) (*http.Client, error) {
	m, err := l.member(from)
	if err != nil {
		return nil, err
	}
	return clientIn(m.ns, func(host string) string { return l.resolve(m, host) }), nil
}

// Send sends a request from a workload.
func (l *Lab) Send(ctx context.Context, from string, r Request) (*Response, error) {
	c, err := l.Client(from)
	if err != nil {
		return nil, err
	}
	defer c.CloseIdleConnections()
	return Do(ctx, c, r)
}

// Get sends a GET request from a workload; headers are name and value in turn.
func (l *Lab) Get(ctx context.Context, from, url string, headers ...string) (*Response, error) {
	return l.Send(ctx, from, Request{URL: url, Headers: pairs(headers)})
}

func pairs(list []string) map[string]string {
	m := map[string]string{}
	for i := 0; i+1 < len(list); i += 2 {
		m[list[i]] = list[i+1]
	}
	return m
}

// Do sends a request with a client and reads the answer.
func Do(ctx context.Context, c *http.Client, r Request) (*Response, error) {
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, strings.NewReader(r.Body))
	if err != nil {
		return nil, err
	}
	for k, v := range r.Headers {
		req.Header.Set(k, v)
	}
	req.Host = r.Host
	began := time.Now()
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	out := &Response{Status: resp.StatusCode, Header: resp.Header, Body: string(body), Elapsed: time.Since(began)}
	if resp.Header.Get("X-Echo") != "" {
		if err := json.Unmarshal(body, &out.Echo); err != nil {
			return nil, fmt.Errorf("lab: answer of the application: %w", err)
		}
	}
	return out, nil
}

// Dial opens a TCP connection from a workload to a name or an address.
func (l *Lab) Dial(ctx context.Context, from, address string) (net.Conn, error) {
	m, err := l.member(from)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return m.ns.dial(ctx, "tcp", net.JoinHostPort(l.resolve(m, host), port))
}

// Admin asks the admin interface of a workload's Envoy.
func (l *Lab) Admin(ctx context.Context, of, path string) (string, error) {
	m, err := l.member(of)
	if err != nil {
		return "", err
	}
	c := clientIn(m.ns, nil)
	defer c.CloseIdleConnections()
	r, err := Do(ctx, c, Request{URL: "http://" + m.admin + path})
	if err != nil {
		return "", err
	}
	return r.Body, nil
}

// Recent asks the application of a workload, past its proxy, for the requests it received since the last time.
func (l *Lab) Recent(ctx context.Context, of string) ([]string, error) {
	m, err := l.member(of)
	if err != nil {
		return nil, err
	}
	c := clientIn(m.ns, nil)
	defer c.CloseIdleConnections()
	r, err := Do(ctx, c, Request{URL: "http://127.0.0.1:" + m.HTTP[0] + "/recent"})
	if err != nil {
		return nil, err
	}
	var paths []string
	return paths, json.Unmarshal([]byte(r.Body), &paths)
}
