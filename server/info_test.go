package server

import (
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/engine"
)

// scrapeInfo reads INFO as redis_exporter does: lines are trimmed, headings and lines without a colon are skipped, and what
// stands behind the first colon is the value.
func scrapeInfo(c *client, sections ...string) map[string]string {
	c.t.Helper()
	text, ok := c.do(append([]string{"INFO"}, sections...)...).(string)
	if !ok || strings.Count(text, "\n") != strings.Count(text, "\r\n") {
		c.t.Fatalf("INFO is no text of CRLF lines: %.200q", text)
	}
	fields := map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		if _, twice := fields[name]; twice {
			c.t.Errorf("INFO has %s twice", name)
		}
		fields[name] = value
	}
	return fields
}

// count is a field as a whole number.
func count(t *testing.T, fields map[string]string, name string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(fields[name], 10, 64)
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return n
}

// infoKinds are the forms of the fields that monitoring reads: redis_exporter, Datadog, Telegraf, RedisInsight.
var infoKinds = map[string]string{
	`^(0|[1-9]\d*)$`: "arch_bits process_id tcp_port server_time_usec uptime_in_seconds uptime_in_days connected_clients maxclients " +
		"blocked_clients tracking_clients used_memory used_memory_rss used_memory_overhead used_memory_dataset total_system_memory " +
		"maxmemory mem_clients_normal loading async_loading rdb_bgsave_in_progress rdb_changes_since_last_save rdb_last_save_time rdb_saves aof_enabled aof_rewrite_in_progress " +
		"aof_rewrite_scheduled total_connections_received total_commands_processed instantaneous_ops_per_sec total_net_input_bytes " +
		"total_net_output_bytes rejected_connections expired_keys evicted_keys evicted_clients keyspace_hits keyspace_misses " +
		"pubsub_channels pubsub_patterns latest_fork_usec total_forks acl_access_denied_auth connected_slaves master_repl_offset " +
		"repl_backlog_active cluster_enabled",
	`^-?\d+$`: "mem_fragmentation_bytes second_repl_offset rdb_last_bgsave_time_sec rdb_current_bgsave_time_sec",
	`^\d+\.\d+$`: "used_cpu_sys used_cpu_user used_cpu_sys_children used_cpu_user_children mem_fragmentation_ratio " +
		"instantaneous_input_kbps instantaneous_output_kbps",
	`^\d+(\.\d\d)?[BKMGTP]$`:             "used_memory_human used_memory_rss_human maxmemory_human total_system_memory_human",
	`^[0-9a-f]{40}$`:                     "run_id master_replid master_replid2",
	`^\d+\.\d+\.\d+`:                     "redis_version nitrokv_version",
	`^keys=\d+,expires=\d+,avg_ttl=\d+$`: "db0",
	`^ok$`:                               "aof_last_write_status rdb_last_bgsave_status",
	`^master$`:                           "role",
	`^standalone$`:                       "redis_mode",
	`^noeviction$`:                       "maxmemory_policy",
	`^no-failover$`:                      "master_failover_state",
	`.`:                                  "os executable multiplexing_api",
}

func TestInfoFields(t *testing.T) {
	c := dial(t, startLogged(t, Options{}))
	c.do("SET", "k", "v")
	fields := scrapeInfo(c)
	for form, names := range infoKinds {
		re := regexp.MustCompile(form)
		for name := range strings.FieldsSeq(names) {
			if value, ok := fields[name]; !ok || !re.MatchString(value) {
				t.Errorf("%s is %q (there: %v), which monitoring doesn't read: want %s", name, value, ok, form)
			}
		}
	}
}

// TestInfoIsTrue compares what INFO says with what is known otherwise.
func TestInfoIsTrue(t *testing.T) {
	s := startLocked(t, nil)
	c := dialOpen(t, s)
	dial(t, s).check(respError(wrongPassText), "AUTH", "wrong")
	c.do("SET", "a", "1")
	c.do("SET", "b", "2", "PX", "100000")
	c.do("GET", "a")
	c.do("GET", "nothing")
	fields := scrapeInfo(c)
	for name, want := range map[string]string{
		"redis_version": RedisVersion, "nitrokv_version": engine.Version, "process_id": strconv.Itoa(os.Getpid()),
		"tcp_port": s.portSetting(), "run_id": s.runID, "arch_bits": strconv.Itoa(strconv.IntSize), "go_version": runtime.Version(),
		"connected_clients": "2", "maxclients": "500", "total_connections_received": "2", "rejected_connections": "0",
		"loading": "0", "aof_enabled": "0", "role": "master", "connected_slaves": "0", "cluster_enabled": "0",
		"keyspace_hits": "1", "keyspace_misses": "1", "evicted_keys": "0", "acl_access_denied_auth": "1",
		"total_commands_processed": "6", "db0": "keys=2,expires=1,avg_ttl=0", "used_memory_dataset": "4",
	} {
		if fields[name] != want {
			t.Errorf("%s is %q, want %q", name, fields[name], want)
		}
	}
	if fields["run_id"] == fields["master_replid"] {
		t.Error("run_id and master_replid are the same")
	}
	used, rss := count(t, fields, "used_memory"), count(t, fields, "used_memory_rss")
	if sum := count(t, fields, "used_memory_overhead") + count(t, fields, "used_memory_dataset"); sum != used {
		t.Errorf("overhead and dataset are %d bytes together, used_memory %d", sum, used)
	}
	if total := count(t, fields, "total_system_memory"); rss < 1<<20 || total < rss {
		t.Errorf("%d bytes resident of %d", rss, total)
	}
	if d := time.Since(time.UnixMicro(count(t, fields, "server_time_usec"))); d < 0 || d > patience {
		t.Errorf("server_time_usec is %v ago", d)
	}
	if up := count(t, fields, "uptime_in_seconds"); up < 0 || up > int64(time.Since(s.started).Seconds()) {
		t.Errorf("up for %d s", up)
	}
}

// TestInfoCountsTraffic to the byte.
func TestInfoCountsTraffic(t *testing.T) {
	c := dial(t, start(t, Options{}))
	first := resp("INFO", "stats")
	c.send(first)
	reply, err := readReply(c.br)
	must(t, err)
	firstReply := int64(len("$" + strconv.Itoa(len(reply.(string))) + "\r\n" + reply.(string) + "\r\n"))
	before := map[string]string{}
	for line := range strings.Lines(reply.(string)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			before[name] = value
		}
	}
	value := strings.Repeat("v", 100_000)
	c.ask(resp("SET", "k", value), "+OK\r\n")
	c.ask(resp("GET", "k")+"PING\r\n", "$100000\r\n"+value+"\r\n+PONG\r\n")
	after := scrapeInfo(c, "stats")
	for name, want := range map[string]int64{
		"total_net_input_bytes":    int64(len(resp("SET", "k", value) + resp("GET", "k") + "PING\r\n" + first)),
		"total_net_output_bytes":   firstReply + int64(len("+OK\r\n$100000\r\n\r\n+PONG\r\n")) + 100_000,
		"total_commands_processed": 4,
		"keyspace_hits":            1,
	} {
		if grown := count(t, after, name) - count(t, before, name); grown != want {
			t.Errorf("%s has grown by %d, want %d", name, grown, want)
		}
	}
}

func TestInfoSections(t *testing.T) {
	c := dial(t, start(t, Options{}))
	headings := func(args ...string) string {
		var found []string
		for line := range strings.Lines(c.do(append([]string{"INFO"}, args...)...).(string)) {
			if name, ok := strings.CutPrefix(line, "# "); ok {
				found = append(found, strings.TrimSpace(name))
			}
		}
		return strings.Join(found, " ")
	}
	usual := "Server Clients Memory Persistence Stats Replication CPU Engine Errorstats Cluster Keyspace"
	all := "Server Clients Memory Persistence Stats Replication CPU Engine Commandstats Latencystats Errorstats Cluster Keyspace"
	for args, want := range map[string]string{
		"": usual, "default": usual, "ALL": all, "everything": all, "server nothing all": all,
		"replication": "Replication", "cluster CPU": "CPU Cluster", "stats STATS": "Stats", "nothing": "",
		"commandstats": "Commandstats", "default latencystats": strings.Replace(usual, "Errorstats", "Latencystats Errorstats", 1),
	} {
		if got := headings(strings.Fields(args)...); got != want {
			t.Errorf("INFO %s has the sections %s, want %s", args, got, want)
		}
	}
}

func TestRates(t *testing.T) {
	var r rates
	at := time.Now()
	demand := func(ops, in, out float64) {
		t.Helper()
		if a, b, c := r.perSecond(); a != ops || b != in || c != out {
			t.Errorf("%v requests, %v and %v bytes a second, want %v, %v, %v", a, b, c, ops, in, out)
		}
	}
	demand(0, 0, 0)
	r.note(sample{at: at, requests: 100, bytesIn: 1000, bytesOut: 5000})
	demand(0, 0, 0)
	r.note(sample{at: at.Add(2 * time.Second), requests: 300, bytesIn: 3000, bytesOut: 5000})
	demand(100, 1000, 0)
	r.note(sample{at: at.Add(2 * time.Second), requests: 300, bytesIn: 3000, bytesOut: 5000})
	demand(0, 0, 0) // no time between them
}

// TestInstantaneousRates: there while requests come, and gone when they don't.
func TestInstantaneousRates(t *testing.T) {
	s := start(t, Options{})
	c := dial(t, s)
	waitFor(t, "the rates of a busy server", func() bool {
		c.do("GET", "k")
		f := scrapeInfo(c, "stats")
		return count(t, f, "instantaneous_ops_per_sec") > 0 && f["instantaneous_input_kbps"] != "0.00" &&
			f["instantaneous_output_kbps"] != "0.00"
	})
	waitFor(t, "the rates of an idle server", func() bool { ops, in, out := s.rates.perSecond(); return ops+in+out == 0 })
}
