package server

import (
	"net"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nitrokv/nitrokv/engine"
)

// settings are the options that CONFIG SET can change while the server runs.
type settings struct {
	maxClients atomic.Int64
	idle, keep atomic.Int64 // nanoseconds
	maxMemory  atomic.Int64 // bytes, 0: no limit
}

func (l *settings) init(opt Options, maxMemory int64) {
	l.maxClients.Store(int64(opt.MaxClients))
	l.idle.Store(int64(opt.IdleTimeout))
	l.keep.Store(int64(opt.KeepAlive))
	l.maxMemory.Store(maxMemory)
}

func (l *settings) idleTimeout() time.Duration { return time.Duration(l.idle.Load()) }
func (l *settings) keepAlive() time.Duration   { return time.Duration(l.keep.Load()) }

// setting is a row of CONFIG: a parameter of Redis that has a meaning here, with its true value.
type setting struct {
	name string
	get  func(*Server) string
	// check says what is wrong with a value, "" for nothing; nil: the parameter cannot be changed while the server runs.
	check func(*Server, string) string
	set   func(*Server, string) error // a value that check has passed
}

var settingTable = []setting{
	{name: "appendfsync", get: (*Server).appendfsyncSetting},
	{name: "appendonly", get: (*Server).appendonlySetting},
	{name: "bind", get: (*Server).bindSetting},
	{name: "databases", get: fixed("1")},
	{name: "dir", get: (*Server).dirSetting},
	{name: "maxclients", get: func(s *Server) string { return strconv.FormatInt(s.live.maxClients.Load(), 10) },
		check: checkMaxClients, set: setMaxClients},
	{name: "maxmemory", get: func(s *Server) string { return strconv.FormatInt(s.live.maxMemory.Load(), 10) },
		check: checkMaxMemory, set: setMaxMemory},
	{name: "maxmemory-policy", get: fixed("noeviction")},
	{name: "port", get: (*Server).portSetting},
	{name: "proto-max-bulk-len", get: func(s *Server) string { return strconv.FormatInt(s.opt.MaxValue, 10) }},
	{name: "save", get: (*Server).saveSetting},
	{name: "slowlog-log-slower-than", get: func(s *Server) string { return strconv.FormatInt(s.slow.micros(), 10) },
		check: checkSlowlogMicros, set: setSlowlogMicros},
	{name: "slowlog-max-len", get: func(s *Server) string { return strconv.Itoa(s.slow.cap()) },
		check: checkSlowlogLen, set: setSlowlogLen},
	{name: "tcp-keepalive", get: func(s *Server) string { return secondsSetting(s.live.keepAlive()) },
		check: checkSeconds, set: func(s *Server, v string) error { return setSeconds(&s.live.keep, v) }},
	{name: "timeout", get: func(s *Server) string { return secondsSetting(s.live.idleTimeout()) },
		check: checkSeconds, set: func(s *Server, v string) error { return setSeconds(&s.live.idle, v) }},
}

func fixed(value string) func(*Server) string { return func(*Server) string { return value } }

func (s *Server) appendonlySetting() string {
	if s.logged {
		return "yes"
	}
	return "no"
}

// appendfsyncSetting is the server's level in Redis's words; without a log nothing is ever synced.
func (s *Server) appendfsyncSetting() string {
	if !s.logged || s.opt.Level == engine.LevelNever {
		return "no"
	}
	return s.opt.Level.String()
}

// saveSetting is how often a snapshot is taken for time's sake, in Redis's words: so many seconds and at least one write.
// Those that are taken because the log has grown have no word there.
func (s *Server) saveSetting() string {
	if !s.hasFolder() || s.opt.SaveInterval <= 0 {
		return ""
	}
	return strconv.FormatInt(saveSeconds(s.opt.SaveInterval), 10) + " 1"
}

// dirSetting is the data folder, absolute as in Redis; empty without one: nothing is written anywhere.
func (s *Server) dirSetting() string {
	if !s.hasFolder() {
		return ""
	}
	if dir, err := filepath.Abs(s.opt.Dir); err == nil {
		return dir
	}
	return s.opt.Dir
}

// bindSetting lists the hosts that the server listens on.
func (s *Server) bindSetting() string {
	var hosts []string
	for _, a := range s.Addrs() {
		host, _, err := net.SplitHostPort(a.String())
		if err == nil {
			hosts = append(hosts, host)
		}
	}
	return strings.Join(hosts, " ")
}

// portSetting is the port of the first address.
func (s *Server) portSetting() string {
	if a, ok := s.Addr().(*net.TCPAddr); ok {
		return strconv.Itoa(a.Port)
	}
	return "0"
}

// secondsSetting shows a duration in Redis's unit, rounded up so that "on" never looks like "off".
func secondsSetting(d time.Duration) string {
	return strconv.FormatInt(int64((max(d, 0)+time.Second-1)/time.Second), 10)
}

const secondsMax = 1 << 31 // as in Redis; also what fits a duration

func checkSeconds(_ *Server, v string) string {
	if _, ok := parseIntBelow(v, 0, secondsMax-1); !ok {
		return "argument must be between 0 and 2147483647 inclusive"
	}
	return ""
}

func setSeconds(to *atomic.Int64, v string) error {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return err
	}
	to.Store(n * int64(time.Second))
	return nil
}

func checkMaxClients(_ *Server, v string) string {
	n, ok := parseIntBelow(v, 1, 1<<32-1)
	if !ok {
		return "argument must be between 1 and 4294967295 inclusive"
	}
	if err := ensureDescriptors(int(n)); err != nil {
		return strings.TrimPrefix(err.Error(), "server: ")
	}
	return ""
}

func setMaxClients(s *Server, v string) error {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return err
	}
	s.live.maxClients.Store(n)
	return nil
}

func checkMaxMemory(_ *Server, v string) string {
	if _, ok := parseMemory(v); !ok {
		return "argument must be a memory value"
	}
	return ""
}

func setMaxMemory(s *Server, v string) error {
	n, _ := parseMemory(v)
	if err := s.store.SetMaxMemory(n); err != nil {
		return err
	}
	s.live.maxMemory.Store(n)
	return nil
}

// parseMemory reads a size as CONFIG SET writes it in Redis: kb, mb, gb are powers of 1024, k, m, g of 1000.
func parseMemory(s string) (int64, bool) {
	units := []struct {
		suffix string
		bytes  int64
	}{{"kb", 1 << 10}, {"mb", 1 << 20}, {"gb", 1 << 30}, {"k", 1e3}, {"m", 1e6}, {"g", 1e9}, {"b", 1}, {"", 1}}
	s = strings.ToLower(s)
	for _, u := range units {
		if digits, found := strings.CutSuffix(s, u.suffix); found {
			n, err := strconv.ParseInt(digits, 10, 64)
			return n * u.bytes, err == nil && n >= 0 && n <= (1<<62)/u.bytes
		}
	}
	return 0, false
}

// configCommands is CONFIG. REWRITE and RESETSTAT are unknown here: there is no file to rewrite, and the
// counters are never set back.
var configCommands = &container{name: "config", subs: []subcommand{
	{"get", -3, "parameter [parameter ...]", "Returns the values of parameters; * and ? match any.", (*request).configGet},
	{"set", -4, "parameter value [parameter value ...]", "Changes parameters while the server runs.", (*request).configSet},
}}

// configGet answers every setting that one of the patterns matches, once; one that is asked for by its name has the name
// as it was typed, as in Redis.
func (r *request) configGet() {
	type match struct {
		name string
		*setting
	}
	var found []match
	for i := range settingTable {
		s := &settingTable[i]
		for _, pattern := range r.args[2:] {
			if !globMatch(strings.ToLower(pattern), s.name) {
				continue
			}
			name := s.name
			if !strings.ContainsAny(pattern, "[*?") {
				name = pattern
			}
			found = append(found, match{name, s})
			break
		}
	}
	r.dict(len(found))
	for _, m := range found {
		r.bulk(m.name)
		r.bulk(m.get(r.c.srv))
	}
}

// configSet changes all the settings or none.
func (r *request) configSet() {
	pairs := r.args[2:]
	if len(pairs)%2 != 0 {
		r.syntaxError()
		return
	}
	var chosen []*setting
	for i := 0; i < len(pairs); i += 2 {
		s := findSetting(pairs[i])
		if s == nil {
			r.fail("ERR Unknown option or number of arguments for CONFIG SET - '%s'", quoted(pairs[i]))
			return
		}
		problem := "can't set immutable config"
		if s.check != nil {
			problem = s.check(r.c.srv, pairs[i+1])
		}
		for _, other := range chosen {
			if other == s {
				problem = "duplicate parameter"
			}
		}
		if problem != "" {
			r.configFailed(s.name, problem)
			return
		}
		chosen = append(chosen, s)
	}
	for i, s := range chosen {
		if err := s.set(r.c.srv, pairs[2*i+1]); err != nil {
			r.configFailed(s.name, err.Error())
			return
		}
		r.c.srv.log.Info("setting changed", "name", s.name, "value", pairs[2*i+1], "client", r.c.id)
	}
	r.ok()
}

func (r *request) configFailed(name, problem string) {
	r.fail("ERR CONFIG SET failed (possibly related to argument '%s') - %s", name, problem)
}

func findSetting(name string) *setting {
	name = strings.ToLower(name)
	for i := range settingTable {
		if settingTable[i].name == name {
			return &settingTable[i]
		}
	}
	return nil
}

// globMatch is the glob of Redis for names without slashes, where path.Match does the same. A pattern that
// doesn't parse matches nothing.
func globMatch(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}
