package server

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nitrokv/nitrokv/engine"
)

// INFO: sections of name:value lines. Names are Redis's where a value means the same, so that what monitors Redis can read
// them. Every value is measured, or constant because there is no such thing here (evictions, replicas, forks); what this
// server has no value for is absent rather than 0.

// infoSections in the order in which they are printed.
var infoSections = []struct {
	name  string
	write func(*infoText)
	asked bool               // only if it is asked for, or all are
	has   func(*Server) bool // whether this server has it; nil: every server does
}{
	{name: "Server", write: (*infoText).server},
	{name: "Clients", write: (*infoText).clients},
	{name: "Memory", write: (*infoText).memory},
	{name: "Persistence", write: (*infoText).persistence},
	{name: "Bitcask", write: (*infoText).bitcask, has: (*Server).hasDataFiles},
	{name: "Stats", write: (*infoText).stats},
	{name: "Replication", write: (*infoText).replication},
	{name: "CPU", write: (*infoText).cpu},
	{name: "Engine", write: (*infoText).engine},
	{name: "Commandstats", write: (*infoText).commandStats, asked: true},
	{name: "Latencystats", write: (*infoText).latencyStats, asked: true},
	{name: "Errorstats", write: (*infoText).errorStats},
	{name: "Cluster", write: (*infoText).cluster},
	{name: "Keyspace", write: (*infoText).keyspace},
}

// infoText is the text being written, and what several sections need.
type infoText struct {
	strings.Builder
	s  *Server
	es engine.Stats
}

func (t *infoText) line(name string, value any) { fmt.Fprintf(t, "%s:%v\r\n", name, value) }

// infoOf writes the sections named, all for none; found says whether any of the names is a section's.
func (s *Server) infoOf(names []string) (text string, found bool) {
	t := &infoText{s: s, es: s.store.Stats()}
	for _, sec := range infoSections {
		byDefault := !sec.asked && (len(names) == 0 || isWord("default", names...))
		if !byDefault && !isWord(sec.name, names...) && !isWord("all", names...) && !isWord("everything", names...) {
			continue
		}
		if sec.has != nil && !sec.has(s) {
			continue
		}
		if found {
			t.WriteString("\r\n")
		}
		found = true
		t.WriteString("# " + sec.name + "\r\n")
		sec.write(t)
	}
	return t.String(), found
}

// info is INFO [section …]; as in Redis, a section that doesn't exist is empty.
func (r *request) info() {
	text, _ := r.c.srv.infoOf(r.args[1:])
	r.verbatim(text)
}

func (t *infoText) server() {
	uptime := int64(time.Since(t.s.started).Seconds())
	t.line("redis_version", RedisVersion)
	t.line("nitrokv_version", engine.Version)
	t.line("redis_mode", "standalone")
	t.line("os", osName())
	t.line("arch_bits", strconv.IntSize)
	t.line("multiplexing_api", "epoll") // the Go runtime's
	t.line("go_version", runtime.Version())
	t.line("process_id", os.Getpid())
	t.line("run_id", t.s.runID)
	t.line("tcp_port", t.s.portSetting())
	t.line("server_time_usec", time.Now().UnixMicro())
	t.line("uptime_in_seconds", uptime)
	t.line("uptime_in_days", uptime/86400)
	t.line("processors", runtime.GOMAXPROCS(0))
	if exe, err := os.Executable(); err == nil {
		t.line("executable", exe)
	}
}

func osName() string {
	var u syscall.Utsname
	if syscall.Uname(&u) != nil {
		return runtime.GOOS + " " + runtime.GOARCH
	}
	return utsText(u.Sysname[:]) + " " + utsText(u.Release[:]) + " " + utsText(u.Machine[:])
}

// utsText turns C's characters, signed on some processors, into a string.
func utsText[C ~int8 | ~uint8](field []C) string {
	var b strings.Builder
	for _, c := range field {
		if c == 0 {
			break
		}
		b.WriteByte(byte(c))
	}
	return b.String()
}

func (t *infoText) clients() {
	t.line("connected_clients", t.s.connected())
	t.line("maxclients", t.s.live.maxClients.Load())
	t.line("blocked_clients", t.s.total.blocked.Load())
	t.line("tracking_clients", 0) // there is no tracking
}

func (t *infoText) memory() {
	rss := residentBytes()
	t.line("used_memory", t.es.UsedBytes)
	t.line("used_memory_human", human(t.es.UsedBytes))
	t.line("used_memory_rss", rss)
	t.line("used_memory_rss_human", human(rss))
	dataset := t.es.KeyBytes
	if !t.s.hasDataFiles() { // whose values lie on the disk
		dataset += t.es.ValueBytes
	}
	t.line("used_memory_overhead", t.es.UsedBytes-min(dataset, t.es.UsedBytes))
	t.line("used_memory_dataset", dataset)
	if total := systemMemory(); total > 0 {
		t.line("total_system_memory", total)
		t.line("total_system_memory_human", human(total))
	}
	t.line("maxmemory", t.es.MaxMemory)
	t.line("maxmemory_human", human(t.es.MaxMemory))
	t.line("maxmemory_policy", "noeviction")
	if used := t.es.UsedBytes; rss > 0 && used > 0 {
		t.line("mem_fragmentation_ratio", fmt.Sprintf("%.2f", float64(rss)/float64(used)))
		t.line("mem_fragmentation_bytes", int64(rss)-int64(used))
	}
	t.line("mem_table", t.es.TableBytes)
	t.line("mem_entries", t.es.EntryBytes)
	t.line("mem_slack", t.es.SlackBytes)
	t.line("mem_pool_free", t.es.PoolFreeBytes)
	t.line("mem_clients_normal", t.es.ChunkBytes)
	t.line("mem_garbage", t.es.GarbageBytes)
	t.line("mem_fixed", t.es.FixedBytes)
	t.line("mem_resident", t.es.ResidentBytes)
}

// residentBytes is the process's resident memory, 0 where the kernel doesn't tell.
func residentBytes() uint64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0
	}
	pages, err := strconv.ParseUint(f[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}

// systemMemory is the machine's, 0 if the kernel doesn't tell.
func systemMemory() uint64 {
	var i syscall.Sysinfo_t
	if syscall.Sysinfo(&i) != nil {
		return 0
	}
	return uint64(i.Totalram) * uint64(i.Unit)
}

// human is a size as Redis prints it: 1.50M.
func human(n uint64) string {
	if n < 1024 {
		return strconv.FormatUint(n, 10) + "B"
	}
	exp := min(int(math.Log2(float64(n)))/10, 5)
	return fmt.Sprintf("%.2f%c", float64(n)/math.Pow(1024, float64(exp)), " KMGTP"[exp])
}

// bit is a truth value as INFO prints it.
func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (t *infoText) stats() {
	requests, in, out := t.s.traffic()
	perSecond, inPerSecond, outPerSecond := t.s.rates.perSecond()
	t.line("total_connections_received", t.s.total.accepted.Load())
	t.line("total_commands_processed", requests)
	t.line("instantaneous_ops_per_sec", uint64(math.Round(perSecond)))
	t.line("total_net_input_bytes", in)
	t.line("total_net_output_bytes", out)
	t.line("instantaneous_input_kbps", fmt.Sprintf("%.2f", inPerSecond/1024))
	t.line("instantaneous_output_kbps", fmt.Sprintf("%.2f", outPerSecond/1024))
	t.line("rejected_connections", t.s.total.rejected.Load())
	t.line("expired_keys", t.es.Expired)
	t.line("evicted_keys", 0) // the policy is noeviction
	t.line("evicted_clients", 0)
	t.line("keyspace_hits", t.es.Hits)
	t.line("keyspace_misses", t.es.Misses)
	t.line("total_writes", t.es.Writes)
	t.line("total_deletes", t.es.Deletes)
	t.line("pubsub_channels", 0)
	t.line("pubsub_patterns", 0)
	t.line("latest_fork_usec", 0) // the server never forks
	t.line("total_forks", 0)
	t.line("acl_access_denied_auth", t.s.total.denied.Load())
}

// replication: a single node is a master without replicas.
func (t *infoText) replication() {
	t.line("role", "master")
	t.line("connected_slaves", 0)
	t.line("master_failover_state", "no-failover")
	t.line("master_replid", t.s.replID)
	t.line("master_replid2", strings.Repeat("0", len(t.s.replID)))
	t.line("master_repl_offset", 0)
	t.line("second_repl_offset", -1)
	t.line("repl_backlog_active", 0)
}

func (t *infoText) cluster() { t.line("cluster_enabled", 0) }

func (t *infoText) cpu() {
	for _, who := range []struct {
		suffix string
		usage  int
	}{{"", syscall.RUSAGE_SELF}, {"_children", syscall.RUSAGE_CHILDREN}} {
		var u syscall.Rusage
		if syscall.Getrusage(who.usage, &u) != nil {
			continue
		}
		t.line("used_cpu_sys"+who.suffix, fmt.Sprintf("%d.%06d", u.Stime.Sec, u.Stime.Usec))
		t.line("used_cpu_user"+who.suffix, fmt.Sprintf("%d.%06d", u.Utime.Sec, u.Utime.Usec))
	}
}

func (t *infoText) engine() {
	for _, f := range []struct {
		name  string
		value uint64
	}{
		{"segments", t.es.Segments}, {"segments_siphash", t.es.SegmentsSipHash},
		{"hash_switches", t.es.HashSwitches},
		{"buckets", t.es.Buckets}, {"overflow_buckets", t.es.OverflowBuckets},
		{"bucket_splits", t.es.Splits}, {"bucket_merges", t.es.Merges},
		{"evacuated_entries", t.es.EvacuatedEntries}, {"lock_busy", t.es.LockBusy},
		{"max_buckets_per_call", t.es.MaxBucketsPerCall},
		{"max_entries_per_call", t.es.MaxEntriesPerCall},
		{"max_bytes_per_call", t.es.MaxBytesPerCall},
	} {
		t.line(f.name, f.value)
	}
}

// keyspace: as in Redis, an empty database has no line, and an average that is not known is 0.
func (t *infoText) keyspace() {
	if t.es.Keys > 0 {
		t.line("db0", fmt.Sprintf("keys=%d,expires=%d,avg_ttl=0", t.es.Keys, t.es.KeysWithExpiry))
	}
}
