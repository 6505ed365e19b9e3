package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/nitrokv/nitrokv/server"
)

// serveConfig is what the options of "nitrokv serve" set.
type serveConfig struct {
	server    server.Options
	data      dataConfig
	watch     watchConfig
	password  passwordConfig
	found     map[string]setting // where the settings came from
	file      string             // where the settings came from that no flag and no variable has; empty: nowhere
	print     bool               // instead of serving
	procs     int                // 0: what Go finds in affinity and cgroup quota
	level     slog.LevelVar
	format    string
	stopLimit time.Duration
}

func (c *serveConfig) options() []option {
	o := &c.server
	config := []option{
		{name: configOption, arg: "FILE", noKey: true, set: pathTo(&c.file),
			help: "Configuration file, TOML with these options' names as keys. Relative paths in it start at the working directory, as everywhere"},
		{name: "print-config", def: "false", flag: true, set: boolTo(&c.print),
			help: "Write all settings to stdout as a configuration file, each with the source it came from, and end"},
	}
	access := append(c.password.options("password", "the password that clients must give"),
		option{name: "insecure-no-auth", def: "false", set: boolTo(&o.InsecureNoAuth),
			help: "Allow addresses that other machines can reach, although there is no password: anybody there can read and delete everything"})
	network := []option{
		{name: "listen", arg: "HOST:PORT", def: server.DefaultListen, many: true, set: appendTo(&o.Listen),
			help: "Address to serve on; may be given several times, an empty host means every interface"},
		{name: "port", arg: "N", def: "6379", noVariable: true, instead: "listen", set: portTo(&o.Listen),
			help: "Port on 127.0.0.1, in place of --listen; 0 takes a free one. Has no variable, because Kubernetes sets NITROKV_PORT beside a service of that name"},
		{name: "max-clients", arg: "N", def: strconv.Itoa(server.DefaultMaxClients), set: intTo(&o.MaxClients, 1, 1<<20),
			help: "Connections at once; one more gets an error and is closed"},
		{name: "idle-timeout", arg: "DURATION", def: "0s", set: durationTo(&o.IdleTimeout),
			help: "Close connections that send nothing for that long; 0 means never"},
		{name: "write-timeout", arg: "DURATION", def: server.DefaultWriteTimeout.String(), set: positive(durationTo(&o.WriteTimeout), &o.WriteTimeout),
			help: "Close connections that don't take their replies for that long"},
	}
	rest := []option{
		{name: "segments", arg: "N", def: strconv.Itoa(server.DefaultSegments), set: powerTo(&o.Segments, 1<<16),
			help: "Separately locked parts of the store, a power of two"},
		{name: "max-memory", arg: "SIZE", def: "auto", set: maxMemoryTo(&o.MaxMemory),
			help: "Memory for keys, values, index and clients; beyond it writes that grow get an error. auto: 80 % of the cgroup's limit if there is one; off: no limit"},
		{name: "max-value", arg: "SIZE", def: "512MiB", set: positive(sizeTo(&o.MaxValue), &o.MaxValue),
			help: "Largest value, up to 512MiB"},
		{name: "procs", arg: "N", def: "auto", set: procsTo(&c.procs),
			help: "Processors to use at once; auto: as many as affinity and cgroup quota allow, and one more with a log"},
		{name: "log-level", arg: "LEVEL", def: "info", set: levelTo(&c.level),
			help: "Least severe messages to log: debug, info, warn or error"},
		{name: "log-format", arg: "FORMAT", def: "auto", set: wordTo(&c.format, "auto", "text", "json"),
			help: "text, json, or auto: text on a terminal and JSON otherwise"},
		{name: "shutdown-timeout", arg: "DURATION", def: "10s", set: durationTo(&c.stopLimit),
			help: "After SIGTERM or SIGINT, how long running requests may take before they are cut off; a second signal doesn't wait"},
	}
	return slices.Concat(config, network, access, c.data.options(), rest, c.watch.options())
}

const serveLong = `Run a server for the binary protocol, RESP (any Redis client) and inline commands on one port, until SIGTERM or SIGINT.

Data is kept in memory and on disk, in --dir: in a log, and in snapshots, which make older log superfluous. With --sync
always, the default, a write is answered when it is on disk, and nobody has ever been shown a value that a power loss
takes back. With --wal off there are snapshots alone, one every --save-interval. With --mode bitcask only keys are kept in
memory: values are read from the files of the log, which are merged when enough in them is dead.

Settings come from flags, from NITROKV_ variables and from the file that --config names; the first that has one counts.
--print-config shows what that comes to, and where from.

The exit status is 0 after a signal, 2 if the server can't start or stop as it should, and 3 if the log could not be
written or synced. Data that is damaged is never dropped by a start: it says what "nitrokv check" is to look at.`

func newServe(t terminal) *cobra.Command {
	var cfg serveConfig
	s := &settings{options: cfg.options()}
	c := &cobra.Command{
		Use:     "serve [options]",
		Short:   "Run a server",
		Long:    serveLong,
		Example: "  nitrokv serve\n  nitrokv serve --port 7000 --max-memory 2GiB --dir /var/lib/nitrokv\n  nitrokv serve --sync everysec --listen 127.0.0.1:6379 --listen [::1]:6379\n  nitrokv serve --wal off --save-interval 60\n  nitrokv serve --mode bitcask --dir ./data --max-file-size 1GiB\n  nitrokv serve --config /etc/nitrokv.toml --password-file /etc/nitrokv.password\n  nitrokv serve --print-config > nitrokv.toml",
		Args:    noOperands,
		RunE: func(c *cobra.Command, _ []string) error {
			warnUnknown(t)
			err := cfg.finish(s, t.env)
			switch {
			case err != nil:
			case cfg.print:
				err = s.printConfig(t.stdout)
			default:
				err = cfg.run(t.stderr)
			}
			if err != nil {
				return fmt.Errorf("serve: %w", trimPrefix(err, "server: "))
			}
			return nil
		},
	}
	c.DisableFlagsInUseLine = true
	s.attach(c)
	return c
}

// finish resolves the options.
func (c *serveConfig) finish(s *settings, env []string) error {
	if err := s.resolve(env); err != nil {
		return err
	}
	c.found = s.found
	if err := c.data.finish(c.found); err != nil {
		return err
	}
	c.data.apply(&c.server, c.found)
	c.watch.apply(&c.server, c.found)
	return nil
}

// run serves until a signal comes.
func (c *serveConfig) run(stderr io.Writer) error {
	// The signals are caught before the port is open: whoever sees it open may send one.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	out := &console{w: stderr, terminal: isTerminal(stderr)}
	log := slog.New(c.logHandler(out, out.terminal))
	notify := &notifier{log: log}
	srv, err := c.open(out, log, notify)
	if err != nil {
		return err
	}
	defer out.progress(1, 1) // no bar is left behind by a start that failed
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve() }()
	select {
	case err := <-ended:
		notify.stop(c.stopLimit)
		stopErr := c.shutdown(srv, signals)
		if errors.Is(err, server.ErrLogFailed) {
			stopErr = nil // it can only be that the same failure keeps the log from being stopped cleanly
		}
		return errors.Join(c.data.explain(err), stopErr)
	case sig := <-signals:
		log.Info("a signal ends the server", "signal", sig.String(), "limit", c.stopLimit.String())
		notify.stop(c.stopLimit)
		if err := c.shutdown(srv, signals); err != nil {
			return err
		}
		return <-ended
	}
}

// open makes the server and its ports. After an error the process ends, and the lock of the data folder, which has not
// been changed, with it.
func (c *serveConfig) open(out *console, log *slog.Logger, notify *notifier) (*server.Server, error) {
	c.useProcessors()
	if err := c.takePassword(log); err != nil {
		return nil, err
	}
	c.server.Logger, c.server.Ready = log, notify.ready
	c.server.Progress = func(done, total uint64) {
		out.progress(done, total)
		notify.progress(done, total)
	}
	srv, err := server.New(c.server)
	if err != nil {
		return nil, c.data.explain(c.data.explainMode(err, c.found))
	}
	if err := srv.Listen(); err != nil {
		return nil, err
	}
	if err := out.release(); err != nil {
		return nil, fmt.Errorf("write the log to stderr: %w", err)
	}
	if c.file != "" {
		log.Info("configuration file", "file", c.file)
	}
	c.data.announce(log, srv.Mode())
	notify.start()
	return srv, nil
}

// useProcessors sets how many threads run Go code at once.
func (c *serveConfig) useProcessors() {
	switch {
	case c.procs > 0:
		runtime.GOMAXPROCS(c.procs)
	case c.server.Dir != "" && !c.server.WALOff:
		// The goroutine that syncs keeps a processor of Go's scheduler while it waits for the disk in the kernel.
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
}

// takePassword gives the server its password.
func (c *serveConfig) takePassword(log *slog.Logger) error {
	password, warning, err := c.password.read()
	if warning != "" {
		log.Warn(warning)
	}
	c.server.Password = server.Secret(password)
	return err
}

// shutdown stops gracefully within the limit. A signal meanwhile ends that at once: nothing is waited for any more,
// the end of the process takes what is left.
func (c *serveConfig) shutdown(srv *server.Server, signals <-chan os.Signal) error {
	ctx, cancel := context.WithTimeout(context.Background(), c.stopLimit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- srv.Shutdown(ctx) }()
	select {
	case err := <-done:
		if err != nil && ctx.Err() != nil {
			return fmt.Errorf("requests were cut off: they were not finished within --shutdown-timeout %v", c.stopLimit)
		}
		return err
	case <-signals:
		return errors.New("requests may have been cut off: a second signal came before they were finished")
	}
}

func (c *serveConfig) logHandler(w io.Writer, terminal bool) slog.Handler {
	o := &slog.HandlerOptions{Level: &c.level}
	if c.format == "text" || c.format == "auto" && terminal {
		return slog.NewTextHandler(w, o)
	}
	return slog.NewJSONHandler(w, o)
}

// trimPrefix takes a package's name off the front of an error's text; the chain stays.
func trimPrefix(err error, prefix string) error {
	return &trimmed{err, strings.TrimPrefix(err.Error(), prefix)}
}

type trimmed struct {
	error
	text string
}

func (t *trimmed) Error() string { return t.text }
func (t *trimmed) Unwrap() error { return t.error }

func noOperands(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s: unexpected %q; \"%s --help\" shows the usage", c.Name(), args[0], c.CommandPath())
	}
	return nil
}

// appendTo collects addresses.
func appendTo(dst *[]string) func(string) error {
	return func(text string) error {
		if !isAddress(text) {
			return errors.New("not an address; write host:port, for example 127.0.0.1:6379 or [::1]:6379")
		}
		*dst = append(*dst, text)
		return nil
	}
}

// portTo makes an address of a port: on this machine alone.
func portTo(dst *[]string) func(string) error {
	return func(text string) error {
		var port int
		if err := intTo(&port, 0, 65535)(text); err != nil {
			return err
		}
		*dst = []string{net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
		return nil
	}
}

func powerTo(dst *int, high int) func(string) error {
	return func(text string) error {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > high || n&(n-1) != 0 {
			return fmt.Errorf("not a power of two from 1 to %d; use for example 256", high)
		}
		*dst = n
		return nil
	}
}

// maxMemoryTo translates to server.Options: 0 is automatic there, and no limit is negative.
func maxMemoryTo(dst *int64) func(string) error {
	return func(text string) error {
		switch strings.ToLower(text) {
		case "auto":
			*dst = 0
			return nil
		case "off", "0":
			*dst = -1
			return nil
		}
		return sizeTo(dst)(text)
	}
}

func procsTo(dst *int) func(string) error {
	return func(text string) error {
		if strings.EqualFold(text, "auto") {
			*dst = 0
			return nil
		}
		return intTo(dst, 1, 1024)(text)
	}
}

func levelTo(dst *slog.LevelVar) func(string) error {
	return func(text string) error {
		var word string
		if err := wordTo(&word, "debug", "info", "warn", "error")(text); err != nil {
			return err
		}
		return dst.UnmarshalText([]byte(word))
	}
}
