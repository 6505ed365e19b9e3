package e2e

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestFirstMinutes replays what a new user types, as testdata/script has it: a script a topic, in testscript's language
// (exec, stdout, cmp, …), in which nitrokv is the binary that is tested, and
//
//	start [NAME=VALUE]... [OPTION]...   runs "nitrokv serve" on a free port in the current folder, waits until it answers, and
//	                                    sets NITROKV_ADDR, HOST and PORT, so that lines read as they do in the README
//	end                                 ends it by SIGTERM, and demands exit status 0
//	crash                               ends it by kill -9
//	[!] logged PATTERN                  waits for a match in what it logs; with ! demands that there is none yet
//
// A script has one server at a time.
func TestFirstMinutes(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "script", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	bin := t.TempDir()
	target, err := filepath.Abs(binary)
	if err == nil {
		err = os.Symlink(target, filepath.Join(bin, "nitrokv"))
	}
	if err != nil {
		t.Fatal(err)
	}
	lookUp(t, "nc")
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			s := &script{t: t}
			testscript.RunT(inline{t}, testscript.Params{
				Files: []string{file},
				Setup: func(e *testscript.Env) error {
					e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
					e.Setenv("HOME", e.WorkDir)
					return nil
				},
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"start": s.start, "end": s.end, "crash": s.crash, "logged": s.logged,
				},
			})
		})
	}
}

// inline runs the one script of a testscript run as the test that it is in, whose clean-up then stops the server.
type inline struct{ *testing.T }

func (t inline) Run(_ string, f func(testscript.T)) { f(t) }
func (t inline) Parallel()                          {}
func (t inline) Verbose() bool                      { return testing.Verbose() }

// A script has a server that its lines start and end.
type script struct {
	t *testing.T
	p *process // nil before the first
}

func (s *script) start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || s.p != nil && !s.p.gone {
		ts.Fatalf("start: there is no \"! start\", and no second server")
	}
	var vars []string
	for len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		vars, args = append(vars, args[0]), args[1:]
	}
	s.p = launchIn(s.t, ts.MkAbs("."), vars, args...)
	s.p.listening(s.t)
	s.p.loaded(s.t) // a server with a password doesn't say, but then nitrokv's verbs wait
	host, port, err := net.SplitHostPort(s.p.addr)
	ts.Check(err)
	ts.Setenv("NITROKV_ADDR", s.p.addr)
	ts.Setenv("HOST", host)
	ts.Setenv("PORT", port)
}

func (s *script) end(ts *testscript.TestScript, neg bool, args []string) {
	s.running(ts, "end", neg, args)
	s.p.stop(s.t)
}

func (s *script) crash(ts *testscript.TestScript, neg bool, args []string) {
	s.running(ts, "crash", neg, args)
	s.p.kill(s.t)
}

func (s *script) running(ts *testscript.TestScript, name string, neg bool, args []string) {
	if neg || len(args) > 0 || s.p == nil || s.p.gone {
		ts.Fatalf("%s: needs a running server, and nothing else", name)
	}
}

func (s *script) logged(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 || s.p == nil {
		ts.Fatalf("logged: needs a pattern, and a server that has been started")
	}
	pattern, err := regexp.Compile(args[0])
	ts.Check(err)
	found := pattern.MatchString(s.p.logged())
	// The server goes on while this looks, so what it is going to log is waited for.
	for deadline := time.Now().Add(startLimit); !found && !neg && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		found = pattern.MatchString(s.p.logged())
	}
	if found == neg {
		ts.Fatalf("logged %q: %v, in:\n%s", args[0], found, s.p.logged())
	}
}
