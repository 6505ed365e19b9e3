package server

import (
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/nitrokv/nitrokv/engine"
)

// /metrics
//
// There is one collector. When it is asked it looks once at everything that counts (look), and makes all metrics of that:
// so they fit together, and between two scrapes they cost nothing. What a metric means stands in metrictable.go; those that
// have labels, or a histogram behind them, are made here.

var errStoreClosed = errors.New("the server is shutting down")

// newMetricsHandler serves the metrics of the server, of the process and of the Go runtime. The end of the store waits
// for them to be gathered, not for the client to take them.
func newMetricsHandler(s *Server, w *web) http.Handler {
	r := newRegistry(s)
	gather := func() (families []*dto.MetricFamily, err error) {
		if !w.peek(func() { families, err = r.Gather() }) {
			err = errStoreClosed
		}
		return families, err
	}
	return promhttp.HandlerFor(prometheus.GathererFunc(gather), promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.HTTPErrorOnError,
		MaxRequestsInFlight: 4,
	})
}

// newRegistry is a registry of the server's own: two servers in a process don't meet in it.
func newRegistry(s *Server) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(newCollector(s), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// look is everything that the metrics are made of, at one moment.
type look struct {
	engine.Stats
	usage     engine.Usage
	readiness readiness
	clients   int

	requests, bytesIn, bytesOut          uint64
	accepted, rejected, denied, tooSlow  uint64
	appended, written, durable, lostWait uint64

	syncs, delays engine.Histogram
	logState      engine.LogState
	recovery      *engine.Recovery // nil: there is nothing to recover from, or it is under way
	snapshots     engine.SnapshotState
	folder        engine.Folder
	disk          uint64 // bytes that the folder takes
	data          dataFiles
	server        *Server
}

func (s *Server) look() *look {
	l := &look{
		Stats: s.store.Stats(), usage: s.store.Usage(), readiness: s.readiness(), clients: s.connected(),
		accepted: s.total.accepted.Load(), rejected: s.total.rejected.Load(), denied: s.total.denied.Load(),
		tooSlow: s.slow.total(), lostWait: s.delays.failed.Load(), delays: s.delays.times.Histogram(),
		logState: s.store.LogState(), server: s,
	}
	l.requests, l.bytesIn, l.bytesOut = s.traffic()
	if s.logged {
		// In this order, so that none of them is ahead of one that it must be behind.
		l.durable, l.written, l.appended = s.store.Durable(), s.store.Written(), s.store.Appended()
		l.syncs = s.store.SyncLatency()
	}
	if s.hasFolder() && !s.load.busy.Load() {
		r := s.store.Recovery()
		l.recovery, l.snapshots, l.folder = &r, s.store.SnapshotState(), s.store.Folder()
		l.data = s.dataFiles(&l.Stats)
		l.disk, _ = s.diskBytes() // 0 says that it can't be told
	}
	return l
}

// collector implements prometheus.Collector.
type collector struct {
	srv   *Server
	plain []*prometheus.Desc // of plainMetrics

	build, requests, duration, delay, memory, work, logStatus, sync *prometheus.Desc
}

func newCollector(s *Server) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(metricPrefix+name, help, labels, nil)
	}
	c := &collector{
		srv:   s,
		build: desc("build_info", "Constant 1; the labels say which program this is.", "version", "go"),
		requests: desc("requests_total", "Requests by verb (a binary opcode counts as the verb that does the same) and by what became of them.",
			"verb", "status"),
		duration: desc("request_duration_seconds", "Time that requests ran, without waiting for disk and client. "+
			"The requests of one chunk of a pipeline share its time equally.", "verb"),
		delay:  desc("reply_delay_seconds", "Time that finished replies waited for the log to be durable before they went out."),
		memory: desc("memory_bytes", "Memory that the engine counts, by what it is for; the sum is what is resident.", "component"),
		work: desc("max_work_per_call", "The most that one call has done under one segment lock since the start, in each unit of work.",
			"unit"),
		logStatus: desc("log_status", "1 for the state that the log is in, 0 for the others.", "status"),
		sync:      desc("log_sync_duration_seconds", "Time that syncs of the log took."),
	}
	for _, m := range plainMetrics {
		c.plain = append(c.plain, desc(m.name, m.help))
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range append([]*prometheus.Desc{c.build, c.requests, c.duration, c.delay, c.memory, c.work, c.logStatus, c.sync}, c.plain...) {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	l := c.srv.look()
	for i, m := range plainMetrics {
		if m.has == nil || m.has(l) {
			to <- prometheus.MustNewConstMetric(c.plain[i], m.kind, m.value(l))
		}
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(c.build, 1, engine.Version, runtime.Version())
	for i := range l.usage.Commands {
		c.collectCommand(to, &l.usage.Commands[i])
	}
	for _, m := range l.memory() {
		gauge(c.memory, float64(m.bytes), m.component)
	}
	gauge(c.work, float64(l.MaxBucketsPerCall), "buckets")
	gauge(c.work, float64(l.MaxEntriesPerCall), "entries")
	gauge(c.work, float64(l.MaxBytesPerCall), "bytes")
	for state := engine.LogNone; state <= engine.LogFailed; state++ {
		gauge(c.logStatus, truth(state == l.logState), state.String())
	}
	if c.srv.logged {
		to <- histogram(c.sync, &l.syncs)
		to <- histogram(c.delay, &l.delays)
	}
}

// collectCommand makes the metrics of one verb.
func (c *collector) collectCommand(to chan<- prometheus.Metric, u *engine.CommandUsage) {
	for _, s := range statuses {
		var n uint64
		for _, o := range s.outcomes {
			n += u.Outcomes[o]
		}
		to <- prometheus.MustNewConstMetric(c.requests, prometheus.CounterValue, float64(n), u.Name, s.name)
	}
	to <- histogram(c.duration, &u.Latency, u.Name)
}

// statuses are the values of the label with this name.
var statuses = []struct {
	name     string
	outcomes []engine.Outcome
}{
	{"ok", []engine.Outcome{engine.OutcomeOK}},
	{"miss", []engine.Outcome{engine.OutcomeMiss}},
	{"client_error", []engine.Outcome{engine.OutcomeClient, engine.OutcomeIdentity}},
	{"not_applied", []engine.Outcome{engine.OutcomeNotApplied, engine.OutcomeElsewhere}},
	{"unknown", []engine.Outcome{engine.OutcomeUnknown}},
	{"failed", []engine.Outcome{engine.OutcomeFailed}},
}

// component is a part of the resident memory.
type component struct {
	component string
	bytes     uint64
}

func (l *look) memory() []component {
	return []component{
		{"table", l.TableBytes}, {"entries", l.EntryBytes}, {"slack", l.SlackBytes}, {"pool_free", l.PoolFreeBytes},
		{"clients", l.ChunkBytes}, {"garbage", l.GarbageBytes}, {"fixed", l.FixedBytes}, {"snapshot", l.SnapshotBytes},
	}
}

// histogram turns a histogram of the engine into Prometheus's, with every second of its buckets: each doubling.
func histogram(d *prometheus.Desc, h *engine.Histogram, labels ...string) prometheus.Metric {
	buckets := make(map[float64]uint64, len(h.Counts)/2)
	var n uint64
	for i, count := range h.Counts {
		n += count
		if end := engine.LatencyBound(i); end&(end-1) == 0 {
			buckets[end.Seconds()] = n
		}
	}
	return prometheus.MustNewConstHistogram(d, n, h.Total.Seconds(), buckets, labels...)
}

// truth is a condition as a metric shows it.
func truth(b bool) float64 { return float64(bit(b)) }

// unixSeconds is a time as a metric shows it; 0 for none.
func unixSeconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
