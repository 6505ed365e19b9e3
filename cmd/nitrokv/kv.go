package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/nitrokv/nitrokv/client"
	"github.com/nitrokv/nitrokv/engine"
	"github.com/nitrokv/nitrokv/server"
)

// kvConfig is what the options of every command that talks to a server, or opens a data folder instead, set.
type kvConfig struct {
	addr     string
	dir      string      // empty: a server is asked
	mode     engine.Mode // of the store in dir; engine.ModeDefault: whatever it is
	timeout  time.Duration
	password passwordConfig

	eachRequest bool // the timeout is the call's business: it makes any number of requests
	parallel    bool // the requests go over a connection for each processor, not over one
	creates     bool // a store is made in a folder that has none
}

// options are those of a command that can do without a server.
func (c *kvConfig) options() []option {
	folder := option{name: "dir", arg: "PATH", flag: true, instead: "addr", set: pathTo(&c.dir),
		help: "Data folder to open in place of a server, which must not be using it. It is loaded for this one command: its snapshot and its log are read"}
	mode := option{name: "mode", arg: "MODE", flag: true, set: modeTo(&c.mode),
		help: "With --dir: the mode that its store must have, memory or bitcask. Without it: whatever it is, memory where a new one is made"}
	return append([]option{folder, mode}, c.serverOptions()...)
}

// serverOptions are those of a command that needs one.
func (c *kvConfig) serverOptions() []option {
	server := []option{
		{name: "addr", arg: "HOST:PORT", def: server.DefaultListen, set: textTo(&c.addr), help: "Address of the server"},
		{name: "timeout", arg: "DURATION", def: "10s", set: positive(durationTo(&c.timeout), &c.timeout), help: "How long to wait for the server"},
	}
	return append(server, c.password.options("password", "the server's password")...)
}

// flag is how the server or the folder is typed.
func (c *kvConfig) flag() string {
	if c.dir != "" {
		return "--dir " + shellWord(c.dir)
	}
	return "--addr " + c.addr
}

// readPassword returns the password for the server, "" if there is none.
func (c *kvConfig) readPassword(t terminal) (string, error) {
	password, warning, err := c.password.read()
	if warning != "" {
		fmt.Fprintf(t.stderr, "nitrokv: warning: %s\n", warning)
	}
	return password, err
}

// putConfig is what further options of "nitrokv put" set.
type putConfig struct {
	ttl  time.Duration
	file string
}

func (c *putConfig) options() []option {
	return []option{
		{name: "ttl", arg: "DURATION", def: "0s", flag: true, set: durationTo(&c.ttl), help: "Let the key expire after that time; 0 means never"},
		{name: "file", arg: "PATH", flag: true, set: textTo(&c.file), help: "Read the value from a file"},
	}
}

func newPut(t terminal) *cobra.Command {
	kv := kvConfig{creates: true}
	var put putConfig
	s := &settings{options: append(put.options(), kv.options()...)}
	return newKV(t, &kv, s, &cobra.Command{
		Use:     "put KEY VALUE | put KEY - | put KEY --file PATH",
		Aliases: []string{"set"},
		Short:   "Store a value",
		Long:    "Store a value under a key. VALUE \"-\" reads it from stdin, --file from a file: any bytes.",
		Example: "  nitrokv put user_id 42069\n  nitrokv put session - --ttl 30m < session.bin\n  nitrokv put offset -5",
	}, func(ctx context.Context, c *client.Client, args []string) error {
		return put.run(ctx, c, args, t.stdin)
	})
}

func newGet(t terminal) *cobra.Command {
	var kv kvConfig
	s := &settings{options: kv.options()}
	return newKV(t, &kv, s, &cobra.Command{
		Use:     "get KEY",
		Short:   "Write a value to stdout",
		Long:    "Write exactly the value's bytes to stdout, and a newline only on a terminal. The exit status is 1 if there is no such key.",
		Example: "  nitrokv get user_id\n  nitrokv get image > image.png",
	}, func(ctx context.Context, c *client.Client, args []string) error {
		return get(ctx, c, args, t.stdout)
	})
}

func newDel(t terminal) *cobra.Command {
	var kv kvConfig
	s := &settings{options: kv.options()}
	return newKV(t, &kv, s, &cobra.Command{
		Use:     "del KEY...",
		Aliases: []string{"delete"},
		Short:   "Remove keys",
		Long:    "Remove keys, all of them in one step. The exit status is 1 if some of them did not exist.",
		Example: "  nitrokv del user_id\n  nitrokv del a b c",
	}, del)
}

func newStats(t terminal) *cobra.Command {
	var kv kvConfig
	s := &settings{options: kv.options()}
	return newKV(t, &kv, s, &cobra.Command{
		Use:     "stats [SECTION]",
		Short:   "Show what the server says about itself",
		Long:    "Show the server's statistics as name:value lines, all of them or those of one section, for example memory.",
		Example: "  nitrokv stats\n  nitrokv stats memory",
	}, func(ctx context.Context, c *client.Client, args []string) error {
		return stats(ctx, c, args, t.stdout)
	})
}

// newKV completes a command that calls a server: its options, the client, and errors that say what to do.
func newKV(t terminal, kv *kvConfig, s *settings, c *cobra.Command, call func(context.Context, *client.Client, []string) error) *cobra.Command {
	c.Annotations = map[string]string{annotationOperands: "any bytes"}
	c.DisableFlagsInUseLine = true
	c.RunE = func(c *cobra.Command, args []string) error {
		warnUnknown(t)
		err := s.resolve(t.env)
		if err == nil {
			err = kv.with(c.Context(), t, args, call)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.Name(), err)
		}
		return nil
	}
	s.attach(c)
	return c
}

// with opens a client for one call. A signal ends what is done in a data folder as it ends a server: cleanly.
func (c *kvConfig) with(ctx context.Context, t terminal, args []string, call func(context.Context, *client.Client, []string) error) (err error) {
	if ctx == nil {
		ctx = context.Background()
	}
	if c.dir != "" {
		caught, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		ctx = caught
	}
	to, err := c.open(ctx, t)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.close()) }()
	if !c.eachRequest {
		limited, cancel := context.WithTimeout(ctx, c.timeout)
		defer cancel()
		ctx = limited
	}
	conns := 1
	if c.parallel {
		conns = 0
	}
	cl, err := client.Open(to.addr, &client.Options{Conns: conns, DialTimeout: c.timeout, Name: "nitrokv-cli", Password: to.password, Dial: to.dial})
	if err != nil {
		return fmt.Errorf("--addr %q: %w", to.addr, trimPrefix(err, "nitrokv: "))
	}
	err = call(ctx, cl, args)
	return errors.Join(c.explain(ctx, err), cl.Close())
}

// explain adds to a failed call what its user can do about it.
func (c *kvConfig) explain(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, errNotFound) || errors.As(err, new(*usageError)) {
		return err
	}
	plain := trimPrefix(err, "nitrokv: ")
	switch {
	case c.dir != "" && errors.Is(ctx.Err(), context.Canceled):
		return errors.New("interrupted; what was not done yet is not done")
	case c.dir != "" && errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("it took more than %v: %w; allow more with --timeout", c.timeout, plain)
	case c.dir != "":
		return plain
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no server answers at %s (connection refused); start one with \"nitrokv serve\", or name another with --addr", c.addr)
	case errors.Is(err, client.ErrUnauthorized) && !c.password.given():
		return &trimmed{err, fmt.Sprintf("the server at %s asks for a password; name a file that holds it with --password-file, or set NITROKV_PASSWORD", c.addr)}
	case errors.Is(err, client.ErrUnauthorized):
		return &trimmed{err, fmt.Sprintf("the server at %s refuses the password; correct --password-file or NITROKV_PASSWORD", c.addr)}
	case errors.Is(err, client.ErrNotNitroKV):
		return fmt.Errorf("%w; name a NitroKV server with --addr", plain)
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s did not answer within %v: %w; see whether it is a NitroKV server and not overloaded, or allow more with --timeout", c.addr, c.timeout, plain)
	}
	return plain
}

// usageError is about what was typed, not about the server.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usage(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

func (p *putConfig) run(ctx context.Context, c *client.Client, args []string, stdin io.Reader) error {
	value, err := p.value(args, stdin)
	if err != nil {
		return err
	}
	var options []client.SetOption
	if p.ttl > 0 {
		options = append(options, client.WithTTL(p.ttl))
	}
	return c.Set(ctx, args[0], value, options...)
}

// value finds the value to store: the operand, stdin or a file.
func (p *putConfig) value(args []string, stdin io.Reader) ([]byte, error) {
	switch {
	case len(args) == 1 && p.file != "":
		value, err := os.ReadFile(p.file)
		if err != nil {
			return nil, usage("--file: %v", err)
		}
		return value, nil
	case len(args) != 2:
		return nil, usage("needs a key and a value, got %d operands; write: nitrokv put KEY VALUE, put KEY - for stdin, or put KEY --file PATH", len(args))
	case p.file != "":
		return nil, usage("got a value and --file %s; use one of them", p.file)
	case args[1] != "-":
		return []byte(args[1]), nil
	}
	value, err := io.ReadAll(stdin)
	if err != nil {
		return nil, usage("read the value from stdin: %v", err)
	}
	return value, nil
}

func get(ctx context.Context, c *client.Client, args []string, stdout io.Writer) error {
	if len(args) != 1 {
		return usage("needs one key, got %d operands; write: nitrokv get KEY", len(args))
	}
	value, err := c.Get(ctx, args[0])
	if errors.Is(err, client.ErrNotFound) {
		return fmt.Errorf("%q: %w", args[0], errNotFound)
	}
	if err != nil {
		return err
	}
	if isTerminal(stdout) {
		value = append(value, '\n')
	}
	return writeAll(stdout, value)
}

func del(ctx context.Context, c *client.Client, args []string) error {
	if len(args) == 0 {
		return usage("needs at least one key; write: nitrokv del KEY...")
	}
	distinct := make(map[string]bool)
	for _, key := range args {
		distinct[key] = true
	}
	n, err := c.DeleteMany(ctx, args...)
	switch {
	case err != nil:
		return err
	case n == len(distinct):
		return nil
	case len(distinct) == 1:
		return fmt.Errorf("%q: %w", args[0], errNotFound)
	}
	return fmt.Errorf("%d of %d keys did not exist: %w", len(distinct)-n, len(distinct), errNotFound)
}

func stats(ctx context.Context, c *client.Client, args []string, stdout io.Writer) error {
	if len(args) > 1 {
		return usage("takes one section, got %d; write: nitrokv stats, or nitrokv stats SECTION", len(args))
	}
	text, err := c.Stats(ctx, append(args, "")[0])
	if err != nil {
		return err
	}
	return writeAll(stdout, []byte(text))
}

// writeAll names stdout if it can't be written, which happens when it is a full disk or a closed pipe.
func writeAll(w io.Writer, b []byte) error {
	if _, err := w.Write(b); err != nil {
		return usage("write to stdout: %v", err)
	}
	return nil
}
