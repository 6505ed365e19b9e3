package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/engine"
)

const anyPort = "127.0.0.1:0"

// visit asks the HTTP listener for a page.
func visit(t testing.TB, s *Server, method, path, host string) (*http.Response, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.HTTPAddr().String()+path, nil)
	must(t, err)
	req.Host = host
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	must(t, err)
	body, err := io.ReadAll(resp.Body)
	must(t, errors.Join(err, resp.Body.Close()))
	return resp, string(body)
}

func TestHTTPPages(t *testing.T) {
	s := start(t, Options{HTTP: anyPort})
	for path, want := range map[string]string{
		"/livez":   "ok\n",
		"/readyz":  `{"status":"ready"}` + "\n",
		"/version": `"version":"` + engine.Version + `"`,
		"/metrics": "nitrokv_clients 0\n",
	} {
		resp, body := visit(t, s, "GET", path, "")
		if resp.StatusCode != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("GET %s: %s, %.300q, want %q", path, resp.Status, body, want)
		}
		if resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("GET %s: headers %v", path, resp.Header)
		}
		head, none := visit(t, s, "HEAD", path, "")
		if head.StatusCode != http.StatusOK || none != "" || head.Header.Get("Content-Type") != resp.Header.Get("Content-Type") {
			t.Errorf("HEAD %s: %s, %q, %s", path, head.Status, none, head.Header.Get("Content-Type"))
		}
	}
}

func TestHTTPVersion(t *testing.T) {
	_, body := visit(t, start(t, Options{HTTP: anyPort}), "GET", "/version", "")
	var got build
	must(t, json.Unmarshal([]byte(body), &got))
	if got.Version != engine.Version || got.Go != runtime.Version() || got.Format != 1 || got.Protocol != 1 {
		t.Errorf("%+v", got)
	}
}

// Nothing but GET and HEAD of the four pages, and nothing for who means another host.
func TestHTTPRefusals(t *testing.T) {
	s := start(t, Options{HTTP: anyPort})
	port := s.HTTPAddr().(*net.TCPAddr).Port
	for _, c := range []struct {
		method, path, host string
		want               int
	}{
		{"POST", "/metrics", "", 405},
		{"PUT", "/livez", "", 405},
		{"DELETE", "/nothing", "", 405},
		{"OPTIONS", "/livez", "", 405},
		{"GET", "/", "", 404},
		{"GET", "/livez/", "", 404},
		{"GET", "//livez", "", 404},
		{"GET", "/debug/pprof/", "", 404},
		{"GET", "/metrics?name[]=x", "", 200},
		{"GET", "/livez", "localhost", 200},
		{"GET", "/livez", "LOCALHOST.:9999", 200},
		{"GET", "/livez", "10.1.2.3", 200},
		{"GET", "/livez", "nitrokv:8379", 200},
		{"GET", "/livez", "[::1]:80", 200},
		{"GET", "/livez", "[::1]", 200},
		{"GET", "/livez", "evil.example", 403},
		{"GET", "/livez", fmt.Sprintf("evil.example:%d", port), 403},
		{"GET", "/metrics", "127.0.0.1.evil.example", 403},
		{"GET", "/readyz", "localhost.evil.example", 403},
		{"POST", "/livez", "evil.example", 403},
	} {
		resp, body := visit(t, s, c.method, c.path, c.host)
		if resp.StatusCode != c.want {
			t.Errorf("%s %s of host %q: %s, want %d", c.method, c.path, c.host, resp.Status, c.want)
		}
		if c.want == 405 && resp.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s %s: Allow is %q", c.method, c.path, resp.Header.Get("Allow"))
		}
		if c.want == 403 && (!strings.Contains(body, "--http") || strings.Contains(body, "nitrokv_")) {
			t.Errorf("%s %s of host %q: %q", c.method, c.path, c.host, body)
		}
	}
}

// The name that is listened on may be asked for, too.
func TestHTTPHostOfAddress(t *testing.T) {
	w := &web{host: "cache.internal"}
	for host, want := range map[string]bool{"cache.internal": true, "Cache.Internal:8379": true, "other.internal": false, "": true} {
		if got := w.means(host); got != want {
			t.Errorf("host %q: %v", host, got)
		}
	}
}

// raw sends bytes to the HTTP listener and returns the first line of the answer.
func rawHTTP(t *testing.T, s *Server, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", s.HTTPAddr().String())
	must(t, err)
	defer func() { _ = c.Close() }() // its end has been seen, or the test has failed
	must(t, c.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(c, text)
	must(t, err)
	line, err := bufio.NewReader(c).ReadString('\n')
	must(t, err)
	return strings.TrimSpace(line)
}

func TestHTTPOldAndLargeRequests(t *testing.T) {
	s := start(t, Options{HTTP: anyPort})
	if got := rawHTTP(t, s, "GET /livez HTTP/1.0\r\n\r\n"); got != "HTTP/1.0 200 OK" {
		t.Errorf("HTTP/1.0 without a host: %q", got)
	}
	if got := rawHTTP(t, s, "GET /livez HTTP/1.1\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
		t.Errorf("HTTP/1.1 without a host: %q", got)
	}
	fits := "GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 3<<10) + "\r\n\r\n"
	if got := rawHTTP(t, s, fits); got != "HTTP/1.1 200 OK" {
		t.Errorf("3 KiB of headers: %q", got)
	}
	large := "GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", httpHeaderBytes) + "\r\n\r\n"
	if got := rawHTTP(t, s, large); got != "HTTP/1.1 431 Request Header Fields Too Large" {
		t.Errorf("more than 8 KiB of headers: %q", got)
	}
	if got := rawHTTP(t, s, "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"); got != "HTTP/1.1 405 Method Not Allowed" {
		t.Errorf("OPTIONS *: %q", got)
	}
}

// Without an address there is no listener.
func TestHTTPOff(t *testing.T) {
	for _, addr := range []string{"", "off"} {
		if got := start(t, Options{HTTP: addr}).HTTPAddr(); got != nil {
			t.Errorf("HTTP %q listens on %v", addr, got)
		}
	}
}

// What asks for no password is not opened to other machines by itself.
func TestHTTPGuardsItsAddress(t *testing.T) {
	_, err := New(Options{Listen: []string{anyPort}, HTTP: "0.0.0.0:0"})
	if err == nil || !strings.Contains(err.Error(), "--http") || !strings.Contains(err.Error(), "--insecure-no-auth") {
		t.Errorf("every interface: %v", err)
	}
	if _, err := New(Options{Listen: []string{anyPort}, HTTP: "nonsense"}); err == nil || !strings.Contains(err.Error(), "--http") {
		t.Errorf("no address: %v", err)
	}
	for name, opt := range map[string]Options{
		"insecure": {HTTP: "0.0.0.0:0", InsecureNoAuth: true},
		"password": {HTTP: "0.0.0.0:0", Password: "x"},
	} {
		if s := start(t, opt); s.HTTPAddr() == nil {
			t.Errorf("%s: no listener", name)
		}
	}
}

// A busy address is a reason not to start, unless nobody has asked for it.
func TestHTTPBusyAddress(t *testing.T) {
	taken, err := net.Listen("tcp", anyPort)
	must(t, err)
	t.Cleanup(func() { must(t, taken.Close()) })
	addr := taken.Addr().String()

	s, err := New(Options{Listen: []string{anyPort}, HTTP: addr})
	must(t, err)
	if err := s.Listen(); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "--http off") {
		t.Errorf("listen on a taken address: %v", err)
	}
	if s.Addr() != nil {
		t.Errorf("the data port stays open: %v", s.Addr())
	}
	must(t, s.Shutdown(context.Background()))

	var log logBuffer
	other := start(t, Options{HTTP: addr, HTTPOptional: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if other.HTTPAddr() != nil {
		t.Errorf("listens on %v", other.HTTPAddr())
	}
	if text := log.String(); !strings.Contains(text, "no HTTP listener") || !strings.Contains(text, addr) {
		t.Errorf("the log doesn't say so: %s", text)
	}
	dial(t, other).ask("PING\r\n", "+PONG\r\n")
}

// A server that listened and never served lets go of its HTTP address too.
func TestHTTPWithoutServe(t *testing.T) {
	s, err := New(Options{Listen: []string{anyPort}, HTTP: anyPort})
	must(t, err)
	must(t, s.Listen())
	addr := s.HTTPAddr().String()
	must(t, s.Shutdown(context.Background()))
	l, err := net.Listen("tcp", addr)
	must(t, err)
	must(t, l.Close())
}

// readyz returns the status and the answer of /readyz.
func readyz(t testing.TB, s *Server) (int, readiness) {
	t.Helper()
	resp, body := visit(t, s, "GET", "/readyz", "")
	var r readiness
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatalf("%q: %v", body, err)
	}
	return resp.StatusCode, r
}

// While data is loaded the process is alive and not ready, and tells how far it is.
func TestReadyzRecovering(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first, err := New(Options{Listen: []string{anyPort}, Dir: dir, Segments: 4})
	must(t, err)
	serve(t, first)
	waitFor(t, "the first server to be loaded", func() bool { return !first.load.busy.Load() })
	dial(t, first).check(status("OK"), "SET", "k", "v")
	must(t, first.Shutdown(context.Background()))

	s, err := New(Options{Listen: []string{anyPort}, HTTP: anyPort, Dir: dir, Segments: 4})
	must(t, err)
	s.load.hold = make(chan struct{})
	serve(t, s)
	code, r := readyz(t, s)
	if code != 503 || r.Status != statusRecovering || r.Progress == nil {
		t.Errorf("while loading: %d, %+v", code, r)
	}
	if resp, _ := visit(t, s, "GET", "/livez", ""); resp.StatusCode != 200 {
		t.Errorf("while loading /livez says %s", resp.Status)
	}
	if _, body := visit(t, s, "GET", "/metrics", ""); !strings.Contains(body, "nitrokv_recovery_in_progress 1\n") {
		t.Errorf("while loading there is no such metric: %.2000s", body)
	}
	s.load.done.Store(25)
	s.load.total.Store(200)
	if _, r := readyz(t, s); *r.Progress != (progress{Done: 25, Total: 200, Percent: 12.5}) {
		t.Errorf("progress: %+v", *r.Progress)
	}
	close(s.load.hold)
	waitFor(t, "the server to be ready", func() bool { code, _ := readyz(t, s); return code == 200 })
}

// While the server shuts down it says so until the end: a connection that keeps it from ending shows the time between.
func TestReadyzShuttingDown(t *testing.T) {
	s, err := New(Options{Listen: []string{anyPort}, HTTP: anyPort})
	must(t, err)
	must(t, s.Listen())
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	waitFor(t, "the server to be ready", func() bool { code, _ := readyz(t, s); return code == 200 })
	s.conns.Add(1) // a connection that takes its time
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(context.Background()) }()
	waitFor(t, "503 during the shutdown", func() bool {
		code, r := readyz(t, s)
		return code == 503 && r.Status == statusShutDown
	})
	s.conns.Done()
	must(t, errors.Join(<-ended, <-served))
}

// Nobody looks at a store that is about to be closed.
func TestMetricsOfClosedStore(t *testing.T) {
	s := start(t, Options{HTTP: anyPort})
	s.web.leaveStore()
	if resp, _ := visit(t, s, "GET", "/metrics", ""); resp.StatusCode != 503 {
		t.Errorf("metrics of a store that is being closed: %s", resp.Status)
	}
}

// A server whose log has failed is alive, and not ready.
func TestReadyzReadOnly(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	s, c := startToBreak(t, Options{Dir: dir, HTTP: anyPort, OnIOError: IOErrorReadOnly})
	if code, r := readyz(t, s); code != 200 || r.Status != statusReady {
		t.Errorf("before the failure: %d, %+v", code, r)
	}
	breakLog(t, dir)
	c.check(respError("UNKNOWN "+unknownText), "SET", "k", "v")
	if code, r := readyz(t, s); code != 503 || r.Status != statusReadOnly || !strings.HasPrefix(r.Reason, "the log has failed: ") {
		t.Errorf("after it: %d, %+v", code, r)
	}
	if resp, _ := visit(t, s, "GET", "/livez", ""); resp.StatusCode != 200 {
		t.Errorf("after it /livez says %s", resp.Status)
	}
	_, body := visit(t, s, "GET", "/metrics", "")
	for _, want := range []string{`nitrokv_log_status{status="failed"} 1`, "nitrokv_ready 0", "nitrokv_reply_failures_total 1"} {
		if !strings.Contains(body, "\n"+want+"\n") {
			t.Errorf("after it there is no metric %s", want)
		}
	}
}

func TestReadOnlyReason(t *testing.T) {
	for state, want := range map[engine.LogState]string{engine.LogOK: "", engine.LogNone: "",
		engine.LogFull: "the log cannot go on: ENOSPC", engine.LogFailed: "the log has failed: ENOSPC"} {
		if got := readOnlyReason(state, errors.New("ENOSPC")); got != want {
			t.Errorf("state %v: %q, want %q", state, got, want)
		}
	}
}
