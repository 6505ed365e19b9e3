package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/nitrokv/nitrokv/cmd/nitrokv/internal/repl"
	"github.com/nitrokv/nitrokv/cmd/nitrokv/internal/resp"
	"github.com/nitrokv/nitrokv/engine"
)

// cliConfig is what further options of "nitrokv cli" set.
type cliConfig struct {
	protocol int
	history  string // as it was given; see historyFile
}

// noHistory is the name of no file.
const noHistory = "off"

func (c *cliConfig) options() []option {
	return []option{
		{name: "resp", arg: "VERSION", def: "3", flag: true, set: intTo(&c.protocol, 2, 3),
			help: "Version of Redis's protocol, 2 or 3. A server that knows no version 3 is spoken to in 2"},
		{name: "history", arg: "FILE", set: pathTo(&c.history),
			help: "File that keeps what is typed, or off. Without it: nitrokv/history in $XDG_STATE_HOME or ~/.local/state"},
	}
}

const cliLong = `Type commands and see the server's replies, or run a single one.

On a terminal lines can be edited; Tab completes, Ctrl-R searches what was typed before, and hints show the arguments that
are still missing. Lines with passwords are not kept. "help" says more.

A value of several lines stands between <<WORD and a line that is WORD, any word:
  SET config <<END
  ...
  END

Commands that are piped in run without prompts. Replies are shown to people on a terminal, and elsewhere as the bytes of the
value and a newline.

The exit status of a single command is 1 if the server has refused it; that of commands that were piped in is 1 if any of
them was refused, but all were tried. A missing key is no refusal. Without a connection it is 2.`

func newCLI(t terminal) *cobra.Command {
	var kv kvConfig
	var cfg cliConfig
	s := &settings{options: append(cfg.options(), kv.options()...)}
	c := &cobra.Command{
		Use:                   "cli | cli COMMAND [ARGUMENT...]",
		Short:                 "Type commands to a server, this or any Redis-compatible one",
		Long:                  cliLong,
		Example:               "  nitrokv cli\n  nitrokv cli set user:42 '{\"name\": \"Alice\"}'\n  printf 'SET a 1\\nGET a\\n' | nitrokv cli",
		Annotations:           map[string]string{annotationOperands: "any bytes"},
		DisableFlagsInUseLine: true,
		RunE: func(_ *cobra.Command, args []string) error {
			warnUnknown(t)
			err := s.resolve(t.env)
			if err == nil {
				err = cfg.run(&kv, t, args)
			}
			if err != nil {
				return fmt.Errorf("cli: %w", err)
			}
			return nil
		},
	}
	s.attach(c)
	return c
}

// run carries out args, or what comes from stdin.
func (c *cliConfig) run(kv *kvConfig, t terminal, args []string) (err error) {
	ctx := context.Background()
	to, err := kv.open(ctx, t)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.close()) }()
	opt := resp.Options{Password: to.password, Protocol: c.protocol, Timeout: kv.timeout, Dial: to.dial}
	s := &repl.Session{
		Addr:     to.name,
		Dial:     func(ctx context.Context) (repl.Conn, error) { return kv.dialRESP(ctx, to.addr, opt) },
		Out:      t.stdout,
		Err:      t.stderr,
		Pretty:   isTerminal(t.stdout),
		Commands: builtIn(),
	}
	if len(args) > 0 {
		return s.One(ctx, args)
	}
	s.Terminal = isTerminal(t.stdin) && s.Pretty
	term, _ := lookup(t.env, "TERM")
	switch {
	case !s.Terminal:
		s.Lines = repl.NewScript(t.stdin, nil)
	case term == "" || term == "dumb":
		s.Lines = repl.NewScript(t.stdin, t.stdout)
	default:
		return c.edit(ctx, s, t)
	}
	return s.Run(ctx)
}

// edit runs a session on a terminal that can do more than print. Signals end it as Ctrl-D does, so that the terminal is
// given back as it was; Ctrl-C is a key, and a signal only while a command runs, which the session waits for.
func (c *cliConfig) edit(ctx context.Context, s *repl.Session, t terminal) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	interrupts := make(chan os.Signal, 1) // nobody reads it: between two commands there is nothing to interrupt
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)

	e, err := repl.OpenEditor(repl.EditorConfig{
		In: t.stdin.(*os.File), Out: t.stdout.(*os.File), History: c.historyFile(t.env),
		Warn: func(err error) { fmt.Fprintf(t.stderr, "nitrokv: warning: %v\n", err) },
	})
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, e.Stop)()
	s.Lines = e
	return errors.Join(s.Run(ctx), e.Close())
}

// historyFile is where lines are kept; empty: nowhere.
func (c *cliConfig) historyFile(env []string) string {
	switch c.history {
	case noHistory:
		return ""
	case "":
	default:
		return c.history
	}
	state, ok := lookup(env, "XDG_STATE_HOME")
	if !ok || !filepath.IsAbs(state) {
		home, ok := lookup(env, "HOME")
		if !ok {
			return ""
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "nitrokv", "history")
}

// dialRESP opens a connection in Redis's protocol, for commands as their user types them.
func (c *kvConfig) dialRESP(ctx context.Context, addr string, opt resp.Options) (repl.Conn, error) {
	conn, err := resp.Dial(ctx, addr, opt)
	switch {
	case err == nil:
		return conn, nil
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, c.explain(ctx, err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, fmt.Errorf("%w; see whether the server is overloaded, or allow more with --timeout", err)
	}
	return nil, err
}

// builtIn is what this program's own server would say about its commands.
func builtIn() []repl.Command {
	var list []repl.Command
	for _, c := range engine.Commands() {
		list = append(list, repl.Command{Name: c.Name, Args: c.Args, Summary: c.Summary, Group: c.Group})
	}
	return list
}
