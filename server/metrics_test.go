package server

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// loadedServer is a server with a data folder that has been loaded.
func loadedServer(t *testing.T) *Server {
	t.Helper()
	s := start(t, Options{HTTP: anyPort, Dir: filepath.Join(t.TempDir(), "data"), Segments: 4})
	waitFor(t, "the data to be loaded", func() bool { return !s.load.busy.Load() })
	return s
}

// Names, types and texts follow Prometheus's conventions.
func TestMetricsLint(t *testing.T) {
	s := loadedServer(t)
	dial(t, s).check(status("OK"), "SET", "k", "v")
	problems, err := testutil.GatherAndLint(ownMetrics(s))
	must(t, err)
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// ownMetrics is a registry without those of the process and the runtime.
func ownMetrics(s *Server) *prometheus.Registry {
	r := prometheus.NewPedanticRegistry() // compares what is collected with what was described
	r.MustRegister(newCollector(s))
	return r
}

// What clients do is what the metrics say.
func TestMetricsCount(t *testing.T) {
	s := loadedServer(t)
	c := dial(t, s)
	c.check(status("OK"), "SET", "k", "v")
	c.check("v", "GET", "k")
	c.check(nil, "GET", "nothing")
	c.check(respError("ERR value is not an integer or out of range"), "INCR", "k")
	c.check(respError("ERR unknown command 'FROB', with args beginning with: "), "FROB")
	c.check(status("OK"), "CLIENT", "SETNAME", "x")
	c.check(respError("WRONGPASS invalid username-password pair or user is disabled."), "AUTH", "a", "b")
	_, body := visit(t, s, "GET", "/metrics", "")
	for _, want := range []string{
		`nitrokv_requests_total{status="ok",verb="set"} 1`,
		`nitrokv_requests_total{status="ok",verb="get"} 1`,
		`nitrokv_requests_total{status="miss",verb="get"} 1`,
		`nitrokv_requests_total{status="client_error",verb="incr"} 1`,
		`nitrokv_requests_total{status="client_error",verb="unknown"} 1`,
		`nitrokv_requests_total{status="ok",verb="client"} 1`,
		`nitrokv_requests_total{status="client_error",verb="auth"} 1`,
		`nitrokv_request_duration_seconds_count{verb="get"} 2`,
		`nitrokv_request_duration_seconds_bucket{verb="get",le="+Inf"} 2`,
		`nitrokv_reply_delay_seconds_count 1`, // the SET waited for the disk
		`nitrokv_reply_failures_total 0`,
		`nitrokv_clients 1`,
		`nitrokv_connections_accepted_total 1`,
		`nitrokv_keys 1`,
		`nitrokv_ready 1`,
		`nitrokv_log_appended_lsn 1`,
		`nitrokv_log_durable_lsn 1`,
		`nitrokv_log_lag_records 0`,
		`nitrokv_log_records_total 1`,
		`nitrokv_log_status{status="ok"} 1`,
		`nitrokv_log_status{status="failed"} 0`,
		`nitrokv_recovery_in_progress 0`,
		`nitrokv_snapshot_in_progress 0`,
		`nitrokv_snapshot_last_success 1`,
		`nitrokv_segments 4`,
	} {
		if !strings.Contains(body, "\n"+want+"\n") {
			t.Errorf("there is no line %s", want)
		}
	}
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes", "nitrokv_build_info", "nitrokv_memory_bytes",
		"nitrokv_log_sync_duration_seconds_sum", "nitrokv_max_work_per_call"} {
		if !regexp.MustCompile(`(?m)^` + name + `[ {]`).MatchString(body) {
			t.Errorf("there is no metric %s", name)
		}
	}
	if t.Failed() {
		t.Log(body)
	}
}

// A server without a folder has no metrics of log and snapshots, rather than zeros.
func TestMetricsInMemory(t *testing.T) {
	_, body := visit(t, start(t, Options{HTTP: anyPort}), "GET", "/metrics", "")
	for _, name := range []string{"nitrokv_log_appended_lsn", "nitrokv_snapshot_", "nitrokv_recovery_", "nitrokv_reply_delay"} {
		if strings.Contains(body, "\n"+name) {
			t.Errorf("there is a metric %s", name)
		}
	}
	if !strings.Contains(body, `nitrokv_log_status{status="none"} 1`) {
		t.Error("the state of the log is not none")
	}
}

// Two servers in one process have metrics of their own.
func TestMetricsOfTwoServers(t *testing.T) {
	a, b := start(t, Options{HTTP: anyPort}), start(t, Options{HTTP: anyPort})
	dial(t, a).check(status("OK"), "SET", "k", "v")
	_, inA := visit(t, a, "GET", "/metrics", "")
	_, inB := visit(t, b, "GET", "/metrics", "")
	if !strings.Contains(inA, "nitrokv_keys 1\n") || !strings.Contains(inB, "nitrokv_keys 0\n") {
		t.Error("the servers share metrics")
	}
}

// metricNames are all names that a query may use.
func metricNames(s *Server) []string {
	descs := make(chan *prometheus.Desc)
	go func() {
		newCollector(s).Describe(descs)
		close(descs)
	}()
	var names []string
	for d := range descs {
		name := regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(d.String())[1]
		names = append(names, name, name+"_bucket", name+"_sum", name+"_count")
	}
	return names
}

// Every expression of the dashboard is about metrics that exist, and every panel has one.
func TestGrafanaDashboard(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "docs", "grafana-dashboard.json"))
	must(t, err)
	type panel struct {
		Type, Title string
		Targets     []struct{ Expr string }
		Panels      []panel
	}
	var board struct {
		SchemaVersion int
		Title, UID    string
		Panels        []panel
	}
	must(t, json.Unmarshal(raw, &board))
	if board.SchemaVersion < 39 || board.Title == "" || board.UID == "" {
		t.Errorf("schema version %d, title %q, uid %q", board.SchemaVersion, board.Title, board.UID)
	}
	known := metricNames(start(t, Options{}))
	used := regexp.MustCompile(`\b(?:nitrokv|process|go)_[a-z0-9_]+`)
	seen := 0
	var check func(panel)
	check = func(p panel) {
		for _, inner := range p.Panels {
			check(inner)
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			names := used.FindAllString(target.Expr, -1)
			if len(names) == 0 {
				t.Errorf("panel %q: %q is about no metric", p.Title, target.Expr)
			}
			for _, n := range names {
				seen++
				if strings.HasPrefix(n, metricPrefix) && !slices.Contains(known, n) {
					t.Errorf("panel %q: there is no metric %s", p.Title, n)
				}
			}
		}
	}
	for _, p := range board.Panels {
		check(p)
	}
	if seen < 20 {
		t.Errorf("the dashboard uses %d metrics", seen)
	}
	for _, row := range []string{"Traffic", "Latency", "Durability", "Snapshots", "Bitcask", "Memory"} {
		if !slices.ContainsFunc(board.Panels, func(p panel) bool { return p.Type == "row" && p.Title == row }) {
			t.Errorf("there is no row %s", row)
		}
	}
}

// docs/OPERATIONS.md names every metric.
func TestMetricsAreDocumented(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "docs", "OPERATIONS.md"))
	must(t, err)
	for _, name := range metricNames(start(t, Options{})) {
		if regexp.MustCompile(`_(bucket|sum|count)$`).MatchString(name) {
			continue
		}
		if !regexp.MustCompile("`" + strings.TrimPrefix(name, metricPrefix) + "[`{]").Match(raw) {
			t.Errorf("docs/OPERATIONS.md does not name `%s`", strings.TrimPrefix(name, metricPrefix))
		}
	}
}
