package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// configFileOf writes a configuration file.
func configFileOf(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nitrokv.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFilePrecedence(t *testing.T) {
	file := configFileOf(t, "segments = 8\nmax-clients = 77\n")
	other := configFileOf(t, "segments = 4\n")
	for _, test := range []struct {
		args, env         []string
		segments, clients int
	}{
		{[]string{"--config", file}, nil, 8, 77},
		{nil, []string{"NITROKV_CONFIG=" + file}, 8, 77},
		{nil, []string{"NITROKV_CONFIG="}, 256, 10000},
		{[]string{"--config", other}, []string{"NITROKV_CONFIG=" + file}, 4, 10000},
		{[]string{"--config", file}, []string{"NITROKV_SEGMENTS=16"}, 16, 77},
		{[]string{"--config", file, "--segments", "32"}, []string{"NITROKV_SEGMENTS=16"}, 32, 77},
		{[]string{"--config", file, "--max-clients", "5"}, nil, 8, 5},
	} {
		cfg, err := resolveServe(t, test.args, test.env)
		if err != nil || cfg.server.Segments != test.segments || cfg.server.MaxClients != test.clients {
			t.Errorf("%q with %q: %d segments, %d clients, %v", test.args, test.env, cfg.server.Segments, cfg.server.MaxClients, err)
		}
	}
}

// A weaker source is not looked at, so a mistake in it stops nobody who has overruled it; but the file must be readable.
func TestOverruledFileValue(t *testing.T) {
	file := configFileOf(t, "segments = 3\nport = 7\n")
	cfg, err := resolveServe(t, []string{"--config", file, "--segments", "4", "--listen", "h:1"}, nil)
	if err != nil || cfg.server.Segments != 4 || !slices.Equal(cfg.server.Listen, []string{"h:1"}) {
		t.Errorf("%d segments, listen %q, %v", cfg.server.Segments, cfg.server.Listen, err)
	}
}

// Values may be written in TOML's types or as they would be typed.
func TestFileTypes(t *testing.T) {
	for text, want := range map[string]string{
		"segments = 8":   "segments 8",
		"segments = '8'": "segments 8",
		"segments = 0x8": "segments 8",
		"\ufeff# BOM and comment\r\nsegments = 8\r\n": "segments 8",
		"max-memory = '1MiB'":                         "memory 1048576",
		"max-memory = 1_000":                          "memory 1000",
		"max-memory = \"off\"":                        "memory -1",
		"insecure-no-auth = true":                     "insecure true",
		"insecure-no-auth = 'true'":                   "insecure true",
		"port = 7":                                    "listen 127.0.0.1:7",
		"listen = 'h:1'":                              "listen h:1",
		"listen = 'h:1, [::1]:2'":                     "listen h:1 [::1]:2",
		"listen = [\n 'h:1', # one\n '[::1]:2',\n]":   "listen h:1 [::1]:2",
		"idle-timeout = '1m30s'":                      "idle 1m30s",
		"\"dir\" = '''my\tdata'''":                    "dir my\tdata",
	} {
		cfg, err := resolveServe(t, []string{"--config", configFileOf(t, text)}, nil)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		o := &cfg.server
		all := []string{fmt.Sprint("segments ", o.Segments), fmt.Sprint("memory ", o.MaxMemory), fmt.Sprint("insecure ", o.InsecureNoAuth),
			"listen " + strings.Join(o.Listen, " "), fmt.Sprint("idle ", o.IdleTimeout), "dir " + o.Dir}
		if !slices.Contains(all, want) {
			t.Errorf("%q: %q, want %q among them", text, all, want)
		}
	}
}

// Every mistake in a file is one line that names the file, the line, the key, the value and what is allowed.
func TestFileErrors(t *testing.T) {
	for text, want := range map[string]string{
		"\n\nsgements = 8":                ":3: sgements: unknown key; did you mean segments?",
		"max_memory = 8":                  ":1: max_memory: unknown key; did you mean max-memory?",
		"xyzzyxyzzy = 8":                  ":1: xyzzyxyzzy: unknown key; \"nitrokv options\" lists them",
		"\"a\\nb\" = 1":                   `:1: "a\nb": unknown key`,
		"addr = 'h:1'":                    ":1: addr: unknown key",
		"# c\nsegments = 3":               `:2: segments "3": not a power of two from 1 to 65536`,
		"segments = true":                 `:1: segments "true": not a power of two`,
		"wal = \"fast\"":                  `:1: wal "fast": unknown; use on, off`,
		"procs = 1.5":                     `:1: procs "1.5": not a whole number from 1 to 1024`,
		"listen = ['h:1',\n'h']":          `:1: listen "h": not an address; write host:port`,
		"listen = []":                     ":1: listen: names nothing; write at least one HOST:PORT",
		"listen = [['h:1']]":              ":1: listen: neither text nor a number",
		"dir = ['a', 'b']":                `:1: dir: a list, but only one value can be set; write dir = "./data"`,
		"dir = ''":                        `:1: dir "": empty; name a folder`,
		"idle-timeout = 1979-05-27":       ":1: idle-timeout: neither text nor a number",
		"port = 1\nlisten = 'h:1'":        "nitrokv.toml:1: port and ",
		"\n[serve]\nsegments = 8":         ":2: serve: settings stand in no table",
		"serve.segments = 8":              ":1: serve.segments: settings stand in no table",
		"segments = { a = 1 }":            ":1: segments: settings stand in no table",
		"[[segments]]\na = 1":             ":1: segments: settings stand in no table",
		"segments = 8\nsegments = 8":      ":2: not TOML: ",
		"segments = 8\n\nport":            ":3: not TOML: ",
		"dir = \"\xff\"":                  ":1: not TOML: invalid UTF-8",
		"password = 'hunter2'":            ":1: password: a secret doesn't stand in this file; name a file of its own with password-file, or set NITROKV_PASSWORD",
		"config = 'other.toml'":           ":1: config: can't be set in a file; write --config on the command line",
		"print-config = true":             ":1: print-config: can't be set in a file",
		"password-file = ''":              `:1: password-file "": empty; name a file`,
		strings.Repeat("# long\n", 1<<18): "is larger than 1048576 bytes",
	} {
		path := configFileOf(t, text)
		r := call("", nil, "serve", "--print-config", "--config", path) // starts no server if the mistake isn't noticed
		mustBeError(t, r, want)
		if !strings.Contains(r.stderr, path) || strings.Contains(r.stderr, "hunter2") {
			t.Errorf("%.40q: the file isn't named, or a secret is: %q", text, r.stderr)
		}
	}
	absent := filepath.Join(t.TempDir(), "absent")
	print := []string{"serve", "--print-config"}
	mustBeError(t, call("", nil, append(print, "--config", absent)...), "--config: read the configuration file: open "+absent+": no such file or directory")
	mustBeError(t, call("", []string{"NITROKV_CONFIG=" + absent}, print...), "NITROKV_CONFIG: read the configuration file: ")
	mustBeError(t, call("", nil, append(print, "--config", t.TempDir())...), "is a directory")
	mustBeError(t, call("", nil, append(print, "--config=")...), `--config "": empty; name a file`)
}

// What is no TOML is not quoted where it may be a secret, wherever its key stands.
func TestFileErrorsTellNoSecret(t *testing.T) {
	const help = "a secret doesn't stand in this file; name a file of its own with password-file, or set NITROKV_PASSWORD"
	for text, line := range map[string]int{
		"segments = 8\npassword = hunter2":      2,
		"password=hunter2":                      1,
		"Password = hunter2":                    1,
		"\"password\" = hunter2":                1,
		"serve.password = hunter2":              1,
		"serve = { password = hunter2 }":        1,
		"NITROKV_PASSWORD=hunter2":              1,
		"export NITROKV_PASSWORD=hunter2":       1,
		"password: hunter2":                     1,
		"password hunter2":                      1,
		"password = [\n\n hunter2 ]":            3,
		"password = \"\"\"\n=\n\\hunter2\"\"\"": 3,
	} {
		path := configFileOf(t, text)
		r := call("", nil, "serve", "--print-config", "--config", path)
		mustBeError(t, r, fmt.Sprintf("%s:%d: not TOML: password: %s", path, line, help))
		if strings.Contains(strings.ReplaceAll(r.stderr, path, ""), "hunter") {
			t.Errorf("%q: %s", text, r.stderr)
		}
	}
	// Other lines are quoted, also next to a comment about the secret such as --print-config writes.
	for _, text := range []string{"password-file = hunter2", "# NITROKV_PASSWORD: not set\nsegments = 8\ndir = hunter2"} {
		mustBeError(t, call("", nil, "serve", "--print-config", "--config", configFileOf(t, text)), `but found "hunter"`)
	}
}

// others are values that differ from the defaults, for every option that can stand in a file; port is tested by itself.
var others = map[string][]string{
	"listen": {"127.0.0.1:7", "[::1]:8"}, "password-file": {"pass word"}, "insecure-no-auth": {"true"}, "max-clients": {"77"},
	"idle-timeout": {"5s"}, "write-timeout": {"6s"}, "dir": {"\"quoted\" \\ \t# ü"}, "wal": {"off"}, "sync": {"Everysec"},
	"log-file-size": {"1MiB"}, "on-io-error": {"readonly"}, "segments": {"8"}, "max-memory": {"1.5GiB"}, "max-value": {"4096"},
	"procs": {"3"}, "log-level": {"debug"}, "log-format": {"json"}, "shutdown-timeout": {"7s"}, "save-interval": {"90"},
	"snapshot-log-size": {"1GiB"}, "snapshot-compression": {"LZ4"}, "log-retention": {"36h"}, "backup-dir": {"/back up"},
	"http": {"off"}, "slowlog-log-slower-than": {"0"}, "slowlog-max-len": {"7"},
	"mode": {"memory"}, "max-file-size": {"2MiB"}, "merge": {"off"}, "merge-dead-percent": {"30"}, "merge-dead-bytes": {"1MiB"},
	"value-compression": {"zstd"}, "cache-size": {"3MiB"}, "mmap": {"on"}, "merge-dead-age": {"48h"}, "merge-disk-left": {"7"}, "merge-window": {"22:00-05:30"}, "merge-rate": {"10MiB"},
}

// printed is what --print-config writes.
func printed(t *testing.T, env []string, args ...string) string {
	t.Helper()
	r := call("", env, append([]string{"serve", "--print-config"}, args...)...)
	if r.status != exitOK || r.stderr != "" {
		t.Fatalf("%q: %+v", args, r)
	}
	return r.stdout
}

// lineOf returns the line that sets, or mentions in a comment, an option.
func lineOf(t *testing.T, config, name string) string {
	t.Helper()
	line := regexp.MustCompile(`(?m)^(# )?` + regexp.QuoteMeta(name) + `( =|:).*$`).FindString(config)
	if line == "" {
		t.Errorf("%s is not in\n%s", name, config)
	}
	return line
}

// What is printed can be fed back, and means the same.
func TestPrintedConfigRoundTrip(t *testing.T) {
	t.Chdir(t.TempDir())
	var all serveConfig
	var args, env []string
	for _, o := range all.options() {
		if !o.hasKey() || o.name == "port" {
			continue
		}
		values, ok := others[o.name]
		if !ok || slices.Contains(values, o.def) {
			t.Fatalf("%s has no value other than its default in this test", o.name)
		}
		for _, v := range values {
			args = append(args, "--"+o.name+"="+v)
		}
		if !o.many {
			env = append(env, o.variable()+"="+values[0])
		}
	}
	env = append(env, "NITROKV_LISTEN="+strings.Join(others["listen"], ","))
	bitcask := []string{"--mode=bitcask"}
	for _, name := range append([]string{"max-file-size", "value-compression", "cache-size", "mmap"}, all.data.merge.names()...) {
		bitcask = append(bitcask, "--"+name+"="+others[name][0])
	}
	for name, test := range map[string]struct{ args, env []string }{
		"defaults":  {nil, nil},
		"flags":     {args[:len(args):len(args)], nil},
		"variables": {nil, env},
		"port":      {[]string{"--port=0"}, nil},
		"password":  {nil, []string{"NITROKV_PASSWORD=hunter2"}},
		"bitcask":   {bitcask, nil},
	} {
		if name == "flags" { // without those that contradict the others
			test.args = slices.DeleteFunc(test.args, func(s string) bool { return s == "--wal=off" || slices.Contains(bitcask, s) })
		}
		text := printed(t, test.env, test.args...)
		path := configFileOf(t, text)
		before, err := resolveServe(t, test.args, test.env)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		after, err := resolveServe(t, []string{"--config", path}, nil)
		if err != nil {
			t.Fatalf("%s: what was printed is refused: %v\n%s", name, err, text)
		}
		if got, want := values(after), values(before); got != want {
			t.Errorf("%s: fed back it means\n%s, want\n%s", name, got, want)
		}
		again := printed(t, nil, "--config", path)
		if got, want := sourceless(again), sourceless(text); got != want && name != "password" {
			t.Errorf("%s: fed back it prints\n%s, want\n%s", name, got, want)
		}
	}
	if left, err := os.ReadDir("."); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// values are what the options have stored, but for the password, which is never printed, and whether somebody has asked for
// the HTTP address: what is printed and fed back has been.
func values(c *serveConfig) string {
	c.server.HTTPOptional = false
	return fmt.Sprintf("%+v\n%+v\n%q %d %v %s %v", c.server, c.data, c.password.file, c.procs, c.level.Level(), c.format, c.stopLimit)
}

// sourceless takes the sources off a printed configuration.
func sourceless(config string) string {
	return regexp.MustCompile(`(?m)^([^#\n].*|# [a-z-]+ = .*) # .*$`).ReplaceAllString(config, "$1")
}

func TestPrintedConfigNamesSources(t *testing.T) {
	file := configFileOf(t, "# mine\nmax-clients = 5\nport = 7\n")
	text := printed(t, []string{"NITROKV_SYNC=never", "NITROKV_CONFIG=" + file}, "--segments", "8", "--dir", "d")
	for name, want := range map[string]string{
		"segments":      "segments = 8 # --segments",
		"dir":           `dir = "d" # --dir`,
		"sync":          `sync = "never" # NITROKV_SYNC`,
		"max-clients":   "max-clients = 5 # " + file + ":2",
		"max-value":     `max-value = "512MiB" # default`,
		"port":          "port = 7 # " + file + ":3",
		"listen":        `# listen = ["127.0.0.1:6379"] # default; port is used in its place`,
		"password-file": `# password-file = "" # not set`,
	} {
		if got := lineOf(t, text, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	var parsed map[string]any
	if _, err := toml.Decode(text, &parsed); err != nil || parsed["segments"] != int64(8) || parsed["insecure-no-auth"] != false {
		t.Errorf("as TOML it is %v, %v", parsed, err)
	}
}

// A secret is never printed, and its file not opened.
func TestPrintedConfigMasksSecrets(t *testing.T) {
	for _, test := range []struct {
		args, env    []string
		secret, file string
	}{
		{nil, nil, "# NITROKV_PASSWORD: not set", `# password-file = "" # not set`},
		{nil, []string{"NITROKV_PASSWORD=hunter2"}, "# NITROKV_PASSWORD: (hidden)", `# password-file = "" # not set`},
		{[]string{"--password-file=absent"}, []string{"NITROKV_PASSWORD=hunter2"},
			"# NITROKV_PASSWORD: (hidden); password-file is used in its place", `password-file = "absent" # --password-file`},
	} {
		text := printed(t, test.env, test.args...)
		if strings.Contains(text, "hunter2") || lineOf(t, text, "NITROKV_PASSWORD") != test.secret || lineOf(t, text, "password-file") != test.file {
			t.Errorf("%q with %q:\n%s", test.args, test.env, text)
		}
	}
}

// Bytes that TOML can't hold are refused rather than changed.
func TestPrintedConfigRefusesOtherBytes(t *testing.T) {
	mustBeError(t, call("", nil, "serve", "--print-config", "--dir", "\xff"), `--dir: "\xff" is not UTF-8`)
	mustBeError(t, call("", nil, "serve", "--print-config", "--segments", "3"), `--segments "3": not a power of two`)
}

func TestComment(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(comment(strings.Repeat("word ", 50)), "\n"), "\n")
	for _, line := range lines {
		if len(line) > commentWidth || !strings.HasPrefix(line, "# word") {
			t.Errorf("line %q", line)
		}
	}
	if len(lines) != 3 || comment("one") != "# one\n" {
		t.Errorf("%d lines; %q", len(lines), comment("one"))
	}
}

// The example in the handbook is accepted as it stands.
func TestDocumentedConfig(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "OPERATIONS.md"))
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(examples) == 0 {
		t.Error("there is no example")
	}
	for _, e := range examples {
		if cfg, err := resolveServe(t, []string{"--config", configFileOf(t, e[1])}, nil); err != nil || cfg.server.MaxMemory != 8<<30 {
			t.Errorf("%v:\n%s", err, e[1])
		}
	}
}
