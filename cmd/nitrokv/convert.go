package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/nitrokv/nitrokv/cmd/nitrokv/internal/convert"
	"github.com/nitrokv/nitrokv/engine"
)

// errNotConverted is the cause of an exit with exitNotMade.
var errNotConverted = errors.New("not converted")

// convertConfig is what the options of "nitrokv convert" set.
type convertConfig struct {
	from, to string
	mode     engine.Mode
}

func (c *convertConfig) options() []option {
	return []option{
		{name: "from", arg: "DIR", flag: true, set: pathTo(&c.from), help: "Data folder to read, of any mode; no server may be using it"},
		{name: "mode", arg: "MODE", flag: true, set: modeTo(&c.mode), help: "Mode of the new folder: memory, or bitcask"},
		{name: "to", arg: "NEW", flag: true, set: pathTo(&c.to), help: "Data folder to make; it must not be there, or be empty. Never inside of the one that is read"},
	}
}

const convertLong = `Make a data folder of another mode (or of the same) that holds what another one holds: every key with its value and the time
when it expires. Versions are not moved: the new folder numbers its writes anew, so clients that compare versions must read
again. Snapshots and the log of the past stay where they are.

The copy is opened again at the end and compared with what was read, by the number of keys and a hash over all keys, values
and expiries; only then it gets its name. It needs room on the disk for all that is live, and in mode bitcask memory for the
keys of both folders; in mode memory for everything.

The origin is opened as a server opens it: what a kill has left is tidied up (an end of the log that never was on disk, and
unfinished files, go), and a log file without records is added. Else nothing of it changes, and it can be served as before. So a
snapshot of mode bitcask is not read where it lies: restore it first, or copy its folder.

The exit status is 0 if NEW is there, and 1 if it could not be made; then nothing is left of it. Only a conversion that is
killed, or that gets a second signal, leaves a folder beside it, called .NEW.converting-NUMBER, that can be removed.`

func newConvert(t terminal) *cobra.Command {
	var cfg convertConfig
	s := &settings{options: cfg.options()}
	c := &cobra.Command{
		Use:                   "convert --from DIR --mode MODE --to NEW",
		Short:                 "Make a data folder of another mode with the same contents",
		Long:                  convertLong,
		Example:               "  nitrokv convert --from ./data --mode bitcask --to ./on-disk",
		DisableFlagsInUseLine: true,
		Args:                  noOperands,
		RunE: func(*cobra.Command, []string) error {
			warnUnknown(t)
			err := s.resolve(t.env)
			if err == nil {
				err = cfg.check()
			}
			if err == nil {
				err = cfg.run(t)
			}
			if err != nil {
				return fmt.Errorf("convert: %w", err)
			}
			return nil
		},
	}
	s.attach(c)
	return c
}

// check refuses what is not said, and a folder inside of the one that is read.
func (c *convertConfig) check() error {
	switch {
	case c.from == "":
		return errors.New("from what? name a data folder with --from")
	case c.mode == engine.ModeDefault:
		return errors.New("to which mode? write --mode memory or --mode bitcask")
	case c.to == "":
		return errors.New("to where? name a new folder with --to")
	}
	from, err := realPath(c.from)
	if err != nil {
		return err
	}
	to, err := realPath(c.to)
	if err != nil {
		return err
	}
	if into, err := filepath.Rel(from, to); err == nil && into != ".." && !strings.HasPrefix(into, ".."+string(filepath.Separator)) {
		return fmt.Errorf("--to %s is in %s, which is only read; name a new folder outside of it", c.to, c.from)
	}
	return nil
}

// run converts, and reports on stdout. A signal ends it, and removes what there is.
func (c *convertConfig) run(t terminal) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)() // a second signal ends the process
	to, err := realPath(c.to)
	if err != nil {
		return err
	}
	var stages stages
	job := &convert.Job{From: c.from, To: to, Mode: c.mode, Progress: stages.progress}
	began := time.Now()
	hide := newStatusLine(t.stderr).show(stages.text)
	totals, err := job.Run(ctx)
	hide()
	if err != nil {
		return c.explain(ctx, err)
	}
	return writeAll(t.stdout, []byte(c.summary(&totals, time.Since(began))))
}

// explain says what can be done next about an error.
func (c *convertConfig) explain(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil && errors.Is(err, context.Cause(ctx)):
		err = errors.New("interrupted")
	case errors.Is(err, engine.ErrLogFull):
		err = fmt.Errorf("%w; the disk of %s must have room for all that is live, and the process a handle for each data file (ulimit -n)", withoutCode(err), c.to)
	default:
		err = withoutCode(err)
	}
	for _, layer := range []string{"engine: open: ", "engine: "} {
		err = trimPrefix(err, layer)
	}
	return fmt.Errorf("%w: %w; nothing was made", errNotConverted, err)
}

// summary says what there is now, and what to do with it.
func (c *convertConfig) summary(r *convert.Totals, took time.Duration) string {
	text := fmt.Sprintf("converted %s, %s, from %s (mode %v) to %s (mode %v), compared by content hash %s; took %v\n",
		countText(r.Keys, "key"), sizeText(r.Bytes), c.from, r.From, c.to, c.mode, r.Hash, took.Round(time.Millisecond))
	if r.Expired > 0 {
		text += fmt.Sprintf("%s had expired by the time of the comparison\n", countText(r.Expired, "more key"))
	}
	return text + "start a server with it: nitrokv serve --dir " + shellWord(c.to) + "\n"
}

// stages shows how far work in several stages is.
type stages struct{ now atomic.Pointer[reading] }

func (s *stages) progress(stage string, done, total uint64) {
	r := s.now.Load()
	if r == nil || r.verb != stage {
		r = newReading(stage)
		s.now.Store(r)
	}
	r.progress(done, total)
}

// text shows it; for a status line.
func (s *stages) text() string {
	if r := s.now.Load(); r != nil {
		return r.text()
	}
	return ""
}
