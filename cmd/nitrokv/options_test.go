package main

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/nitrokv/nitrokv/engine"
	"github.com/nitrokv/nitrokv/server"
)

// resolveServe resolves the options of "serve" for one command line and environment.
func resolveServe(t *testing.T, args, env []string) (*serveConfig, error) {
	t.Helper()
	cfg := &serveConfig{}
	s := &settings{options: cfg.options()}
	c := &cobra.Command{Use: "serve"}
	s.attach(c)
	if err := c.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return cfg, cfg.finish(s, env)
}

func TestPrecedence(t *testing.T) {
	for _, test := range []struct {
		args, env []string
		want      int
	}{
		{nil, nil, 256},
		{nil, []string{"NITROKV_SEGMENTS=16"}, 16},
		{nil, []string{"NITROKV_SEGMENTS="}, 256},
		{nil, []string{"NITROKV_SEGMENTS=16", "NITROKV_SEGMENTS=32"}, 32},
		{[]string{"--segments", "64"}, []string{"NITROKV_SEGMENTS=16"}, 64},
		{[]string{"--segments=64"}, []string{"NITROKV_SEGMENTS=nonsense"}, 64},
	} {
		cfg, err := resolveServe(t, test.args, test.env)
		if err != nil || cfg.server.Segments != test.want {
			t.Errorf("%q with %q: %d, %v; want %d", test.args, test.env, cfg.server.Segments, err, test.want)
		}
	}
}

func TestListenAndPort(t *testing.T) {
	for _, test := range []struct {
		args, env []string
		want      string
	}{
		{nil, nil, "127.0.0.1:6379"},
		{[]string{"--port", "7"}, nil, "127.0.0.1:7"},
		{[]string{"--port", "7"}, []string{"NITROKV_LISTEN=h:1"}, "127.0.0.1:7"},
		{nil, []string{"NITROKV_PORT=tcp://10.0.0.1:6379"}, "127.0.0.1:6379"}, // of Kubernetes, not ours
		{[]string{"--listen", "h:1", "--listen", "h:2"}, []string{"NITROKV_LISTEN=h:3"}, "h:1 h:2"},
		{nil, []string{"NITROKV_LISTEN=h:1, [::1]:2"}, "h:1 [::1]:2"},
	} {
		cfg, err := resolveServe(t, test.args, test.env)
		if got := strings.Join(cfg.server.Listen, " "); err != nil || got != test.want {
			t.Errorf("%q with %q: %q, %v; want %q", test.args, test.env, got, err, test.want)
		}
	}
	if _, err := resolveServe(t, []string{"--port", "7", "--listen", "h:1"}, nil); err == nil ||
		!strings.HasPrefix(err.Error(), "--port and --listen are both given") {
		t.Errorf("both given: error %v", err)
	}
}

// A bad value's error names where it came from.
func TestBadValueNamesItsSource(t *testing.T) {
	for want, test := range map[string][2][]string{
		`--segments "3": not a power of two`:        {{"--segments", "3"}, nil},
		`NITROKV_SEGMENTS "3": not a power`:         {nil, {"NITROKV_SEGMENTS=3"}},
		`NITROKV_MAX_MEMORY "much": not a size`:     {nil, {"NITROKV_MAX_MEMORY=much"}},
		`--wal "fast": unknown; use on, off`:        {{"--wal", "fast"}, nil},
		`--dir "": empty; name a folder`:            {{"--dir", ""}, nil},
		`NITROKV_SYNC "often": unknown; use always`: {nil, {"NITROKV_SYNC=often"}},
		`--log-file-size "1KiB": out of range`:      {{"--log-file-size", "1KiB"}, nil},
		`--on-io-error "retry": unknown; use exit`:  {{"--on-io-error", "retry"}, nil},
		`--sync and --dir off: without a data`:      {{"--dir", "off", "--sync", "never"}, nil},
		`--wal on and --dir off: a log needs`:       {{"--dir", "off", "--wal", "on"}, nil},
		`--snapshot-log-size and --wal off: it is`:  {{"--snapshot-log-size", "1GiB", "--wal", "off"}, nil},
		`--save-interval "often": not a duration`:   {{"--save-interval", "often"}, nil},
		`--save-interval "50ms": too often; use`:    {{"--save-interval", "50ms"}, nil},
		`--snapshot-compression "gzip": unknown`:    {{"--snapshot-compression", "gzip"}, nil},
		`--log-retention "24": neither a time nor`:  {{"--log-retention", "24"}, nil},
		`--log-retention "much": neither a time`:    {{"--log-retention", "much"}, nil},
		`--http "8379": not an address; write`:      {{"--http", "8379"}, nil},
		`--slowlog-log-slower-than "-2": not a`:     {{"--slowlog-log-slower-than=-2"}, nil},
		`--log-level "loud": unknown; use debug`:    {{"--log-level", "loud"}, nil},
		`--password-file "": empty; name a file`:    {{"--password-file", ""}, nil},
		`NITROKV_PASSWORD: longer than 512 bytes`:   {nil, {"NITROKV_PASSWORD=" + strings.Repeat("x", 513)}},
		`NITROKV_LISTEN: names nothing`:             {nil, {"NITROKV_LISTEN=, ,"}},
	} {
		if _, err := resolveServe(t, test[0], test[1]); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestServeOptionsReachTheServer(t *testing.T) {
	cfg, err := resolveServe(t, []string{
		"--insecure-no-auth", "--segments=8", "--max-memory=1GiB", "--max-value=1MiB", "--max-clients=77", "--idle-timeout=5s",
		"--write-timeout=6s", "--procs=3", "--log-level=debug", "--log-format=json", "--shutdown-timeout=7s", "--dir=d",
		"--sync=Everysec", "--log-file-size=1MiB", "--on-io-error=readonly", "--snapshot-compression=lz4", "--save-interval=90",
		"--snapshot-log-size=2GiB", "--log-retention=24h", "--backup-dir=b", "--http=127.0.0.1:1", "--slowlog-log-slower-than=5",
		"--slowlog-max-len=6",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := cfg.server
	if !o.InsecureNoAuth || o.Segments != 8 || o.MaxMemory != 1<<30 || o.MaxValue != 1<<20 || o.MaxClients != 77 ||
		o.IdleTimeout.Seconds() != 5 || o.WriteTimeout.Seconds() != 6 {
		t.Errorf("server options %+v", o)
	}
	if o.Dir != "d" || o.Level != engine.LevelEverysec || o.LogFileBytes != 1<<20 || o.OnIOError != server.IOErrorReadOnly {
		t.Errorf("server options about data: %+v", o)
	}
	if o.WALOff || o.Compression != engine.CompressionLZ4 || o.SaveInterval != 90*time.Second || o.SnapshotLogBytes != 2<<30 ||
		o.RetainFor != 24*time.Hour || o.RetainBytes != 0 || o.BackupDir != "b" {
		t.Errorf("server options about snapshots: %+v", o)
	}
	if o.HTTP != "127.0.0.1:1" || o.HTTPOptional || o.SlowlogMicros != 5 || o.SlowlogLen != 6 {
		t.Errorf("server options about watching it: %+v", o)
	}
	if cfg.procs != 3 || cfg.level.Level() != slog.LevelDebug || cfg.format != "json" || cfg.stopLimit.Seconds() != 7 {
		t.Errorf("procs %d, level %v, format %s, limit %v", cfg.procs, cfg.level.Level(), cfg.format, cfg.stopLimit)
	}
}

// Words and zeros of the options stand for what a zero field can't.
func TestWordsOfOptions(t *testing.T) {
	for _, test := range []struct {
		args []string
		got  func(o *server.Options) bool
	}{
		{nil, func(o *server.Options) bool {
			return !o.WALOff && o.SaveInterval == 0 && o.SnapshotLogBytes == 0 && o.RetainFor == 0 && o.RetainBytes == 0 && o.BackupDir == "" &&
				o.Compression == engine.CompressionZstd && o.HTTP == server.DefaultHTTP && o.HTTPOptional
		}},
		{[]string{"--save-interval=0"}, func(o *server.Options) bool { return o.SaveInterval < 0 }},
		{[]string{"--save-interval=5m"}, func(o *server.Options) bool { return o.SaveInterval == 5*time.Minute }},
		{[]string{"--save-interval=AUTO"}, func(o *server.Options) bool { return o.SaveInterval == 0 }},
		{[]string{"--snapshot-log-size=off"}, func(o *server.Options) bool { return o.SnapshotLogBytes < 0 }},
		{[]string{"--log-retention=10GiB"}, func(o *server.Options) bool { return o.RetainFor == 0 && o.RetainBytes == 10<<30 }},
		{[]string{"--log-retention=90m"}, func(o *server.Options) bool { return o.RetainFor == 90*time.Minute && o.RetainBytes == 0 }},
		{[]string{"--http=OFF"}, func(o *server.Options) bool { return o.HTTP == "" }},
		{[]string{"--http=" + server.DefaultHTTP}, func(o *server.Options) bool { return o.HTTP == server.DefaultHTTP && !o.HTTPOptional }},
		{[]string{"--slowlog-log-slower-than=-1"}, func(o *server.Options) bool { return o.SlowlogMicros == server.SlowlogNone }},
		{[]string{"--slowlog-log-slower-than=0"}, func(o *server.Options) bool { return o.SlowlogMicros == server.SlowlogAll }},
		{[]string{"--slowlog-max-len=0"}, func(o *server.Options) bool { return o.SlowlogLen < 0 }},
		{[]string{"--wal=off", "--save-interval=60"}, func(o *server.Options) bool {
			return o.WALOff && o.Dir == "./data" && o.SaveInterval == time.Minute
		}},
		{[]string{"--dir=OFF"}, func(o *server.Options) bool { return !o.WALOff && o.Dir == "" }},
	} {
		cfg, err := resolveServe(t, test.args, nil)
		if err != nil || !test.got(&cfg.server) {
			t.Errorf("%q: %+v, %v", test.args, cfg.server, err)
		}
	}
}

// Whatever the table says must be true: defaults parse, names are spelled and used alike, everything is documented.
func TestOptionTable(t *testing.T) {
	table := optionsTable()
	for _, g := range allOptions() {
		seen := make(map[string]bool)
		for i := range g.options {
			o := &g.options[i]
			if o.def != "" || o.arg == "" {
				if err := o.set(o.def); err != nil {
					t.Errorf("the default of --%s is refused: %v", o.name, err)
				}
			}
			if seen[o.name] || o.help == "" || o.name != strings.ToLower(o.name) || strings.HasSuffix(o.help, ".") {
				t.Errorf("--%s: twice in a command, without help, or misspelled", o.name)
			}
			seen[o.name] = true
			if o.hasFlag() && !strings.Contains(table, "\n| `"+o.usage()+"` |") {
				t.Errorf("--%s is not in the reference", o.name)
			}
			if v := o.variable(); v != "" && (!strings.HasPrefix(v, envPrefix) || !strings.Contains(table, " | `"+v+"` | ")) {
				t.Errorf("--%s: variable %q is not in the reference", o.name, v)
			}
			if o.instead != "" && !slices.ContainsFunc(g.options, func(other option) bool { return other.name == o.instead }) {
				t.Errorf("--%s stands in for --%s, which there is not", o.name, o.instead)
			}
		}
	}
}

// An option of serve has every source, but for those named here, which have a reason.
func TestServeOptionsHaveEverySource(t *testing.T) {
	noFlag := []string{"password"}
	noVariable := []string{"port", "print-config"}
	noKey := []string{"config", "print-config", "password"}
	var cfg serveConfig
	for _, o := range cfg.options() {
		if o.hasFlag() == slices.Contains(noFlag, o.name) || (o.variable() != "") == slices.Contains(noVariable, o.name) ||
			o.hasKey() == slices.Contains(noKey, o.name) {
			t.Errorf("%s: flag %v, variable %q, key %v", o.name, o.hasFlag(), o.variable(), o.hasKey())
		}
	}
}

func TestUnknownVariableWarns(t *testing.T) {
	var out bytes.Buffer
	warnUnknown(terminal{stderr: &out, env: []string{
		"NITROKV_ADDR=h:1", "NITROKV_SEGMENT=3", "HOME=/", "NITROKV_RATE=5", "NITROKV_CONFIG=f", "NITROKV_PASSWORD=p", "NITROKV_PASSWORD_FILE=f",
		"NITROKV_SERVICE_HOST=10.0.0.1", "NITROKV_SERVICE_PORT=6379", "NITROKV_SERVICE_PORT_REDIS=6379", "NITROKV_PORT=tcp://10.0.0.1:6379",
		"NITROKV_PORT_6379_TCP=tcp://10.0.0.1:6379", "NITROKV_PORT_6379_TCP_ADDR=10.0.0.1", "NITROKV_PRINT_CONFIG=1",
	}})
	var named []string
	for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		name, _, _ := strings.Cut(strings.TrimPrefix(line, "nitrokv: warning: "), " is set, but there is no such setting")
		named = append(named, name)
	}
	if want := []string{"NITROKV_SEGMENT", "NITROKV_RATE", "NITROKV_PRINT_CONFIG"}; !slices.Equal(named, want) {
		t.Errorf("warned of %q, want %q", named, want)
	}
}

func TestPrepare(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"get k", "get|--|k"},
		{"GET k", "get|--|k"},
		{"Set k v", "put|--|k|v"},
		{"DELETE k", "del|--|k"},
		{"put k -5", "put|--|k|-5"},
		{"put -k -", "put|--|-k|-"},
		{"put k --", "put|--|k"},
		{"put k -- --", "put|--|k|--"},
		{"put k -- --ttl", "put|--|k|--ttl"},
		{"put k ---", "put|--|k|---"},
		{"put k --5", "put|--|k|--5"},
		{"put k v --ttl 5s", "put|--ttl|5s|--|k|v"},
		{"put --ttl=5s k -v", "put|--ttl=5s|--|k|-v"},
		{"--addr h:1 get k", "get|--addr|h:1|--|k"},
		{"--addr=h:1 PUT k -1", "put|--addr=h:1|--|k|-1"},
		{"get k -h", "get|-h|--|k"},
		{"serve --port 0", "serve|--port|0"},
		{"--port 0 serve", "serve|--port|0"},
		{"help PUT", "help|put"},
		{"--help", "--help"},
	} {
		root := newRoot(terminal{})
		root.InitDefaultHelpCmd()
		var got []string
		if err := prepare(root, strings.Fields(test.in)); err != nil {
			t.Errorf("%q: %v", test.in, err)
			continue
		}
		got = argsOf(t, root)
		if strings.Join(got, "|") != test.want {
			t.Errorf("%q becomes %q, want %q", test.in, strings.Join(got, "|"), test.want)
		}
	}
}

// argsOf returns what cobra will work with: it has no accessor, so a command that takes anything reads them.
func argsOf(t *testing.T, root *cobra.Command) []string {
	t.Helper()
	var got []string
	for _, c := range append(slices.Clone(root.Commands()), root) {
		name := c.Name()
		c.DisableFlagParsing, c.Args, c.Run = true, cobra.ArbitraryArgs, nil
		c.RunE = func(_ *cobra.Command, args []string) error {
			if c != root {
				got = append(got, name)
			}
			got = append(got, args...)
			return nil
		}
	}
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestSuggestions(t *testing.T) {
	for verb, want := range map[string]string{
		"gte": `"get"`, "putt": `"put"`, "PTU": `"put"`, "delet": `"delete"`, "sreve": `"serve"`, "bnech": `"bench"`, "stat": `"stats"`,
		"help-me-please": "", "xyzzy": "", "": "",
	} {
		root := newRoot(terminal{})
		root.InitDefaultHelpCmd()
		err := prepare(root, []string{verb})
		if err == nil {
			t.Errorf("%q is taken for a verb", verb)
			continue
		}
		if has := strings.Contains(err.Error(), "did you mean"); has != (want != "") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want a suggestion of %s", verb, err, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"get", "get", 0}, {"", "get", 3}, {"gte", "get", 1}, {"gt", "get", 1}, {"gett", "get", 1}, {"git", "get", 1}, {"put", "get", 2}} {
		if got := distance(test.a, test.b); got != test.want {
			t.Errorf("%q to %q: %d, want %d", test.a, test.b, got, test.want)
		}
	}
}
