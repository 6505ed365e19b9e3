package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/nitrokv/nitrokv/client"
	"github.com/nitrokv/nitrokv/cmd/nitrokv/internal/transfer"
)

// errIncomplete is the cause of an exit with exitPartial.
var errIncomplete = errors.New("not everything was loaded")

// problemsShown is how many entries that are left out get a line of their own.
const problemsShown = 20

// loadConfig is what further options of "nitrokv load" set.
type loadConfig struct {
	format    string
	keepGoing bool
	dryRun    bool
	source    passwordConfig
}

func (c *loadConfig) options() []option {
	own := []option{
		{name: "format", arg: "NAME", def: "auto", flag: true, set: wordTo(&c.format, "auto", "text", "json"),
			help: "How lines are written: text, json, or auto: each as it looks"},
		{name: "keep-going", def: "false", flag: true, set: boolTo(&c.keepGoing),
			help: "Report entries with something wrong, leave them out and go on"},
		{name: "dry-run", def: "false", flag: true, set: boolTo(&c.dryRun), help: "Only check the file; no server is asked"},
	}
	return append(own, c.source.options("source-password", "the password of the Redis server that is copied")...)
}

const loadLong = `Load many keys at once: from a file, from stdin ("-"), or from a live Redis server.

A file has one entry a line, written in either of two ways:

  KEY<TAB>VALUE
  {"key": "session:1", "value": "any text", "expires_at": "2030-01-31T12:00:00.250Z"}

In the first the first tab divides and nothing is escaped; a carriage return before the end of a line belongs to the value.
The second is JSON: "key_base64" and "value_base64" hold bytes that are no text; "expires_at" is a time of RFC 3339 or
milliseconds since 1970, or in its place "ttl_ms" counts from now; without them the key does not expire. A line is taken
for JSON if it begins with {" as in the example. Empty lines are passed over. "nitrokv dump" writes such a file.

Of a key that comes twice the last value stays. An entry whose time is over removes its key, and is counted. The first line
with something wrong ends the load and is named; with --keep-going such lines are left out, and the exit status is 1 in the
end. A load that has ended early can be repeated from the beginning: it sets the same values again.

redis://[user@]host[:port][/db] copies the strings of a Redis server that is in use: a key that is written meanwhile is
copied as it was or as it is. It says at the end which keys of other types it has left out. What is left of a key's time to
live counts from now by this machine's clock.`

func newLoad(t terminal) *cobra.Command {
	kv := kvConfig{eachRequest: true, parallel: true, creates: true}
	var load loadConfig
	s := &settings{options: append(load.options(), kv.options()...)}
	return newKV(t, &kv, s, &cobra.Command{
		Use:     "load FILE | load - | load redis://HOST:PORT",
		Short:   "Load many keys from a file or a Redis server",
		Long:    loadLong,
		Example: "  nitrokv load users.tsv\n  nitrokv dump --addr old:6379 | nitrokv load -\n  nitrokv load redis://10.0.0.5:6379/2",
	}, func(ctx context.Context, c *client.Client, args []string) error {
		return load.run(ctx, &kv, c, args, t)
	})
}

// run loads what the operand names. The first signal ends it with a report, a second one ends the process.
func (c *loadConfig) run(ctx context.Context, kv *kvConfig, cl *client.Client, args []string, t terminal) error {
	if len(args) != 1 {
		return usage("needs one source, got %d operands; write: nitrokv load FILE, load - for stdin, or load redis://HOST:PORT", len(args))
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)()
	l := &loading{loadConfig: c, kv: kv, client: cl, t: t, lines: newStatusLine(t.stderr), began: time.Now()}
	if transfer.IsRedisURL(args[0]) {
		return l.fromRedis(ctx, args[0])
	}
	return l.fromFile(ctx, args[0])
}

// loading is one run of "nitrokv load".
type loading struct {
	*loadConfig
	kv       *kvConfig
	client   *client.Client
	t        terminal
	lines    *statusLine
	began    time.Time
	problems int
}

func (l *loading) fromFile(ctx context.Context, name string) error {
	if name == "-" {
		return l.fromLines(ctx, l.t.stdin, "stdin")
	}
	f, err := os.Open(name)
	if err != nil {
		return usage("%v", err)
	}
	return errors.Join(l.fromLines(ctx, f, name), f.Close())
}

func (l *loading) fromLines(ctx context.Context, in io.Reader, name string) error {
	size := int64(0)
	if f, ok := in.(*os.File); ok {
		in, size = &cancelReader{ctx, f}, sizeOf(f)
	}
	lines := transfer.NewLines(in, name, size, transfer.Format(l.format))
	if l.dryRun {
		return l.load(ctx, lines, nil)
	}
	if err := l.ready(ctx); err != nil {
		return err
	}
	return l.load(ctx, lines, l.client)
}

// sizeOf returns the bytes of a regular file, and 0 for anything else.
func sizeOf(f *os.File) int64 {
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		return info.Size()
	}
	return 0
}

func (l *loading) fromRedis(ctx context.Context, text string) (err error) {
	if l.dryRun || l.format != string(transfer.Auto) {
		return usage("--dry-run and --format are about files; drop them to copy from a Redis server")
	}
	u, err := transfer.ParseRedisURL(text)
	if err != nil {
		return usage("the source: %v", err)
	}
	password, warning, err := l.source.read()
	if warning != "" {
		fmt.Fprintf(l.t.stderr, "nitrokv: warning: %s\n", warning)
	}
	if err != nil {
		return usage("the source: %v", err)
	}
	if err := l.ready(ctx); err != nil {
		return err
	}
	r, err := transfer.OpenRedis(ctx, u, password, l.kv.timeout)
	if err != nil {
		return usage("the source: %v", trimPrefix(err, "resp: "))
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := l.distinct(ctx, u, r.RunID()); err != nil {
		return err
	}
	return errors.Join(l.load(ctx, r, l.client), l.sayLeftOut(r))
}

// ready waits until the server takes requests, so that an address that is wrong is found before anything is read.
func (l *loading) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.kv.timeout)
	defer cancel()
	_, err := l.client.Count(ctx)
	return err
}

// distinct refuses to copy a NitroKV server: itself, or one for which there is a better way.
func (l *loading) distinct(ctx context.Context, u transfer.RedisURL, source string) error {
	if source == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.kv.timeout)
	defer cancel()
	stats, err := l.client.Stats(ctx, "server")
	if err != nil {
		return err
	}
	if strings.Contains(stats, "run_id:"+source) {
		return usage("the source %s is the server to load into, %s; name another source, or another target with --addr", u.Addr, l.kv.addr)
	}
	return usage("the source %s is a NitroKV server; copy it with: nitrokv dump --addr %s | nitrokv load - %s", u.Addr, u.Addr, l.kv.flag())
}

// load carries everything from the source to the target and reports.
func (l *loading) load(ctx context.Context, src transfer.Source, target transfer.Target) error {
	job := transfer.NewLoad(src, target, transfer.Options{Timeout: l.kv.timeout, KeepGoing: l.keepGoing, Problem: l.problem})
	hide := l.lines.show(func() string {
		done, total := src.Progress()
		return progressText("loading", done, total, job.Loaded(), time.Since(l.began))
	})
	totals, err := job.Run(ctx)
	hide()
	if err != nil {
		return usage("%s; %s; %s", l.explain(ctx, err), l.sofar(&totals), l.next(err))
	}
	if err := writeAll(l.t.stdout, []byte(l.summary(&totals)+"\n")); err != nil {
		return err
	}
	if totals.Refused > 0 {
		return fmt.Errorf("%w: %s left out, because something is wrong with them", errIncomplete, countOf(totals.Refused, "entry", "entries"))
	}
	return nil
}

// problem reports an entry that is left out, as long as they are few.
func (l *loading) problem(err *transfer.EntryError) {
	l.problems++
	switch {
	case l.problems <= problemsShown:
		l.lines.say(oneLine(l.explain(context.Background(), err)))
	case l.problems == problemsShown+1:
		l.lines.say("nitrokv: further ones are only counted")
	}
}

// explain says what a failure is about, and what to do.
func (l *loading) explain(ctx context.Context, err error) error {
	var wrong *transfer.EntryError
	switch {
	case ctx.Err() != nil && errors.Is(err, context.Cause(ctx)):
		return errors.New("interrupted")
	case errors.As(err, &wrong):
		// The server's silence is that of one write; the context of them all says nothing about it.
		return fmt.Errorf("%s: %w", wrong.Place, l.kv.explain(context.Background(), wrong.Err))
	}
	return trimPrefix(err, "resp: ")
}

// sofar says how far a load has come that ended early.
func (l *loading) sofar(t *transfer.Totals) string {
	if l.dryRun {
		return countOf(t.Loaded, "entry before it is", "entries before it are") + " all right"
	}
	text := countOf(t.Loaded, "key was", "keys were") + " loaded"
	if t.Through > 0 {
		text += fmt.Sprintf(", nothing is missing up to line %d", t.Through)
	}
	return text
}

// next says what to do after an error.
func (l *loading) next(err error) string {
	var wrong *transfer.EntryError
	switch {
	case !errors.As(err, &wrong) || !transfer.OfEntry(wrong):
	case errors.Is(err, client.ErrOutOfMemory):
		return "give the server more with --max-memory, or leave out what it has no room for with --keep-going"
	default:
		return "correct the entry, or leave such entries out with --keep-going"
	}
	return "it can be repeated from the beginning: it sets the same values again"
}

// summary is the last line of a load that has come to its end.
func (l *loading) summary(t *transfer.Totals) string {
	took := time.Since(l.began)
	text := fmt.Sprintf("loaded %s, %s, in %s (%.0f keys/s)", countOf(t.Loaded, "key", "keys"), sizeText(uint64(t.Bytes)),
		took.Round(time.Millisecond), float64(t.Loaded)/max(took.Seconds(), 1e-3))
	if l.dryRun {
		text = fmt.Sprintf("nothing was loaded; %s, %s, could be", countOf(t.Loaded, "entry", "entries"), sizeText(uint64(t.Bytes)))
	}
	if t.Expired > 0 {
		text += fmt.Sprintf("; %d had expired", t.Expired)
	}
	if t.Refused > 0 {
		text += fmt.Sprintf("; left out %d with something wrong", t.Refused)
	}
	return text
}

// sayLeftOut tells what was in Redis and is not in the store.
func (l *loading) sayLeftOut(r *transfer.Redis) error {
	text := ""
	if gone := r.Gone(); gone > 0 {
		text += countOf(gone, "key", "keys") + " had gone before they were read\n"
	}
	if left := r.LeftOut(); len(left) > 0 {
		var kinds []string
		for _, kind := range slices.Sorted(maps.Keys(left)) {
			kinds = append(kinds, fmt.Sprintf("%d of type %s", left[kind], kind))
		}
		text += "left out, for only strings can be copied: " + strings.Join(kinds, ", ") + "\n"
	}
	return writeAll(l.t.stdout, []byte(text))
}

// countOf is a number with its noun.
func countOf(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
