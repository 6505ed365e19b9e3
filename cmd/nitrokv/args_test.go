package main

import (
	"strings"
	"testing"
)

// A long option with one dash is told apart from a value that begins with one.
func TestSingleDash(t *testing.T) {
	for _, test := range []struct {
		args, want string // an empty want: it is no option
	}{
		{"serve -port 7000", "serve: unknown option -port; write --port"},
		{"serve -port=7000", "serve: unknown option -port; write --port"},
		{"-port 7000 serve", "unknown option -port; write --port"},
		{"-addr h:1 get k", "unknown option -addr; write --addr"},
		{"get k -addr h:1", "get: unknown option -addr; write --addr"},
		{"put k v -ttl=5s", "put: unknown option -ttl; write --ttl"},
		{"check -repair d", "check: unknown option -repair; write --repair"},
		{"bench -keys 5", "bench: unknown option -keys; write --keys"},
		{"-help", "unknown option -help; write --help"},
		{"-version", "unknown option -version; write --version"},
		{"get -help", "get: unknown option -help; write --help"},
		{"put k -5", ""},
		{"put k -55", ""},
		{"put k -", ""},
		{"put k -port", ""}, // no option of put
		{"put k -- -ttl", ""},
		{"put k --file -ttl", ""},
		{"serve --dir -port", ""},
		{"--dir -port serve", ""},
		{"get -h", ""},
	} {
		root := newRoot(terminal{})
		root.InitDefaultHelpCmd()
		err := prepare(root, strings.Fields(test.args))
		if got := errText(err); test.want == "" && err != nil || !strings.HasPrefix(got, test.want) {
			t.Errorf("%q: %q, want %q", test.args, got, test.want)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A password in a command line is refused wherever it stands and however it is written, and isn't repeated.
func TestPasswordInArguments(t *testing.T) {
	for _, args := range []string{
		"serve --password hunter2", "serve --password=hunter2", "serve -password hunter2", "--password hunter2 get k",
		"--password=hunter2 serve", "get k --password hunter2", "put k v --password=hunter2", "bench --password hunter2", "stats -password=hunter2",
	} {
		r := call("", nil, strings.Fields(args)...)
		mustBeError(t, r, "there is no --password: everybody on this machine can see what is typed in a command line; name a file with --password-file, or set NITROKV_PASSWORD")
		if strings.Contains(r.stderr, "hunter2") {
			t.Errorf("%q: repeated in %q", args, r.stderr)
		}
	}
	if r := call("", nil, "check", "--password", "hunter2"); r.status != exitError || strings.Contains(r.stderr, "hunter2") {
		t.Errorf("check, which asks no server: %+v", r)
	}
}

func TestUnknownOption(t *testing.T) {
	for args, want := range map[string]string{
		"serve --prot 5":          "serve: unknown option --prot (did you mean --port?)",
		"serve -prot=5":           "serve: unknown option -prot (did you mean --port?)",
		"serve --wal=of --snyc x": "serve: unknown option --snyc (did you mean --sync?)",
		"serve --xyzzyxyzzy":      `serve: unknown option --xyzzyxyzzy; "nitrokv serve --help" lists the options`,
		"put k v --tll=5s":        `put: unknown option --tll (did you mean --ttl?); a key or value that looks like an option needs a "--" in front of it`,
		"stats --adr=h:1":         "stats: unknown option --adr (did you mean --addr?)",
	} {
		mustBeError(t, call("", nil, strings.Fields(args)...), want)
	}
}
