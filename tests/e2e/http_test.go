package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// httpAddr is where the server has said that it serves HTTP; empty if it doesn't.
func (p *process) httpAddr() string {
	for line := range strings.Lines(p.logged()) {
		var record struct{ Msg, Addr string }
		if json.Unmarshal([]byte(line), &record) == nil && record.Msg == "serving HTTP" {
			return record.Addr
		}
	}
	return ""
}

// page fetches a page of the server.
func (p *process) page(t *testing.T, path string) (code int, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.httpAddr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatalf("GET %s: %v\n%s", path, err, p.logged())
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(text)
}

// metric is the value of a metric with these labels, as it is printed; empty if there is none.
func (p *process) metric(t *testing.T, name string) string {
	t.Helper()
	_, body := p.page(t, "/metrics")
	if m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindStringSubmatch(body); m != nil {
		return m[1]
	}
	return ""
}

// TestHTTP: what the server does over its data port is what it tells over HTTP, before and after a restart.
func TestHTTP(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := start(t, "--dir", dir, "--http", "127.0.0.1:0")
	if code, body := p.page(t, "/livez"); code != 200 || body != "ok\n" {
		t.Errorf("/livez: %d, %q", code, body)
	}
	eventually(t, startLimit, "/readyz says ready", func() bool {
		code, body := p.page(t, "/readyz")
		return code == 200 && strings.Contains(body, `"ready"`)
	})
	if code, body := p.page(t, "/version"); code != 200 || !strings.Contains(body, `"format_version":1`) {
		t.Errorf("/version: %d, %q", code, body)
	}
	c := dialResp(t, p, "always")
	const writes = 100
	for i := range writes {
		c.must(t, "SET", fmt.Sprint("k", i), "v")
	}
	for name, want := range map[string]string{
		`nitrokv_requests_total{status="ok",verb="set"}`: fmt.Sprint(writes),
		"nitrokv_reply_delay_seconds_count":              fmt.Sprint(writes),
		"nitrokv_keys":                                   fmt.Sprint(writes),
		"nitrokv_log_lag_records":                        "0",
		`nitrokv_log_status{status="ok"}`:                "1",
		"nitrokv_ready":                                  "1",
	} {
		if got := p.metric(t, name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	p.kill(t)
	again := start(t, "--dir", dir, "--http", "127.0.0.1:0")
	eventually(t, startLimit, "the keys are counted after a restart", func() bool {
		return again.metric(t, "nitrokv_recovery_keys") == fmt.Sprint(writes)
	})
	if got := again.metric(t, "nitrokv_recovery_clean_stop"); got != "0" {
		t.Errorf("after a kill recovery_clean_stop is %s", got)
	}
}

// TestHTTPBusy: an address that was asked for must be free.
func TestHTTPBusy(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := taken.Close(); err != nil {
			t.Error(err)
		}
	}()
	addr := taken.Addr().String()
	r := command(t, "", binary, "serve", "--port", "0", "--dir", filepath.Join(t.TempDir(), "data"), "--http", addr)
	if r.status != 2 || !strings.Contains(r.stderr, addr) || !strings.Contains(r.stderr, "--http off") {
		t.Errorf("a taken HTTP address: status %d, %q", r.status, r.stderr)
	}
}

// TestHTTPFullDisk: a server that can't write is not ready, says why, and is ready again when there is room.
func TestHTTPFullDisk(t *testing.T) {
	disk := smallDisk(t)
	p := start(t, "--dir", filepath.Join(disk, "data"), "--http", "127.0.0.1:0")
	heal := ballast(t, disk, 4<<20)
	c := dialResp(t, p, "always")
	fill(t, c, "k:", strings.Repeat("v", 8<<10))
	eventually(t, startLimit, "/readyz says that the disk is full", func() bool {
		code, body := p.page(t, "/readyz")
		return code == 503 && strings.Contains(body, `"read-only"`) && strings.Contains(body, "no room")
	})
	if code, _ := p.page(t, "/livez"); code != 200 {
		t.Errorf("on a full disk /livez says %d", code)
	}
	if got := p.metric(t, `nitrokv_log_status{status="full"}`); got != "1" {
		t.Errorf("on a full disk the metric of that state is %q", got)
	}
	if got := p.metric(t, `nitrokv_requests_total{status="not_applied",verb="set"}`); got == "" || got == "0" {
		t.Errorf("on a full disk %q writes were not applied", got)
	}
	heal()
	eventually(t, startLimit, "the server is ready after space has come back", func() bool {
		code, _ := p.page(t, "/readyz")
		return code == 200
	})
}
