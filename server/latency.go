package server

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nitrokv/nitrokv/engine"
)

// LATENCY, and the sections of INFO about commands: how often each was used, how long it ran, what failed. All of it, and
// /metrics too, is made of engine.Usage.

// latencyCommands is LATENCY. The events that Redis's latency monitor records (forks, slow file calls) are not recorded
// here, so what is about them answers as Redis does while its monitor is off.
var latencyCommands = &container{name: "latency", subs: []subcommand{
	{"doctor", 2, "", "Says that there are no events, and where to look.", (*request).latencyDoctor},
	{"graph", 3, "event", "Fails: there are no events.", (*request).latencyGraph},
	{"histogram", -2, "[command ...]", "Returns for each command how many calls took up to so many microseconds.", (*request).latencyHistogram},
	{"history", 3, "event", "Returns nothing: there are no events.", func(r *request) { r.array(0) }},
	{"latest", 2, "", "Returns nothing: there are no events.", func(r *request) { r.array(0) }},
	{"reset", -2, "[event ...]", "Returns 0, the number of events that were dropped.", func(r *request) { r.int(0) }},
}}

func (r *request) latencyDoctor() {
	r.verbatim("There is no monitor of latency events in this server. LATENCY HISTOGRAM, SLOWLOG GET and the metrics of the " +
		"HTTP listener tell how long requests take.\n")
}

func (r *request) latencyGraph() {
	r.fail("ERR No samples available for event '%s'", quoted(r.args[2]))
}

// latencyHistogram answers the commands asked for, or all that were used; as in Redis, one that doesn't exist or was not
// used is left out.
func (r *request) latencyHistogram() {
	var found []engine.CommandUsage
	for _, u := range r.c.srv.store.Usage().Commands {
		if calls(&u) > 0 && (len(r.args) == 2 || isWord(u.Name, r.args[2:]...)) {
			found = append(found, u)
		}
	}
	r.dict(len(found))
	for i := range found {
		r.bulk(found[i].Name)
		r.dict(2)
		r.bulk("calls")
		r.int(int64(found[i].Latency.Count()))
		r.bulk("histogram_usec")
		r.buckets(&found[i].Latency)
	}
}

// buckets are the limits in microseconds, doubling from 1 on, and how many calls took no longer; only those where that
// number grows.
func (r *reply) buckets(h *engine.Histogram) {
	type bucket struct{ micros, upTo int64 }
	var list []bucket
	var n uint64
	for i, c := range h.Counts {
		n += c
		end := engine.LatencyBound(i)
		if last := i == len(h.Counts)-1; !last && (end < 1024 || end&(end-1) != 0) {
			continue // inside of a doubling
		} else if last {
			end = 2 * engine.LatencyBound(i-1)
		}
		if len(list) == 0 && n > 0 || len(list) > 0 && int64(n) > list[len(list)-1].upTo {
			list = append(list, bucket{micros: end.Microseconds(), upTo: int64(n)})
		}
	}
	r.dict(len(list))
	for _, b := range list {
		r.int(b.micros)
		r.int(b.upTo)
	}
}

// calls are the requests that were run, as Redis counts them; rejected are those that were refused before.
func calls(u *engine.CommandUsage) (n uint64) {
	for _, count := range u.Outcomes {
		n += count
	}
	return n - rejected(u)
}

func rejected(u *engine.CommandUsage) uint64 {
	return u.Outcomes[engine.OutcomeIdentity] + u.Outcomes[engine.OutcomeNotApplied]
}

// failed are those that were run and ended in an error.
func failed(u *engine.CommandUsage) uint64 {
	return u.Outcomes[engine.OutcomeClient] + u.Outcomes[engine.OutcomeUnknown] + u.Outcomes[engine.OutcomeFailed]
}

// commandStats: requests that are no command are among the errors alone, as in Redis.
func (t *infoText) commandStats() {
	for _, u := range t.s.store.Usage().Commands {
		if u.Name == unknownCommand {
			continue
		}
		micros, n, perCall := u.Latency.Total.Microseconds(), calls(&u), 0.0
		if n > 0 {
			perCall = float64(u.Latency.Total.Nanoseconds()) / 1000 / float64(n)
		}
		t.line("cmdstat_"+u.Name, fmt.Sprintf("calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d",
			n, micros, perCall, rejected(&u), failed(&u)))
	}
}

// unknownCommand is the engine's name for what is no command.
const unknownCommand = "unknown"

func (t *infoText) latencyStats() {
	for _, u := range t.s.store.Usage().Commands {
		if u.Name == unknownCommand || calls(&u) == 0 {
			continue
		}
		var parts []string
		for _, q := range []struct {
			name string
			part float64
		}{{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}} {
			parts = append(parts, fmt.Sprintf("%s=%.3f", q.name, float64(u.Latency.Quantile(q.part).Nanoseconds())/1000))
		}
		t.line("latency_percentiles_usec_"+u.Name, strings.Join(parts, ","))
	}
}

func (t *infoText) errorStats() {
	words := map[string]uint64{}
	for code, n := range t.s.store.Usage().Errors {
		words[errorWord(code)] += n
	}
	for _, word := range slices.Sorted(maps.Keys(words)) {
		t.line("errorstat_"+word, fmt.Sprintf("count=%d", words[word]))
	}
}
