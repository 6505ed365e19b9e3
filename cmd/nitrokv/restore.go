package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nitrokv/nitrokv/engine"
)

// restoreConfig is what the options of "nitrokv restore" set.
type restoreConfig struct {
	from        string
	dir         string
	lsn         uint64    // 0: any
	at          time.Time // zero: any
	keepExpired bool
	fileBytes   int64
}

func (c *restoreConfig) options() []option {
	return []option{
		{name: "dir", arg: "NEW", flag: true, set: pathTo(&c.dir), help: "Data folder to make; it must not hold a store. Never the one that is restored from"},
		{name: "from", arg: "PATH", flag: true, set: pathTo(&c.from),
			help: "What to restore from, in place of FILE: a data folder that no server uses, a snapshot in one, or a backup"},
		{name: "to-lsn", arg: "N", flag: true, set: lsnTo(&c.lsn),
			help: "Up to that LSN; one in the middle of a batch stops before the batch. Without it: up to the newest"},
		{name: "to-time", arg: "TIME", flag: true, set: timeTo(&c.at),
			help: "Up to that time in RFC 3339, for example 2030-01-31T12:00:00Z: everything before the first write that is later"},
		{name: "keep-expired", def: "false", flag: true, set: boolTo(&c.keepExpired),
			help: "Keep the keys that have expired since that point; they expire no more. Without it they are gone"},
		{name: "max-file-size", arg: "SIZE", def: "1GiB", flag: true, set: fileSizeTo(&c.fileBytes, dataFileMax, "64KiB to 4092MiB, for example 64MiB or 1GiB"),
			help: "Of mode bitcask: size of the new data files; what the server will be started with"},
	}
}

const restoreLong = `Make a data folder out of a backup, or out of another data folder as it was at an earlier moment.

A backup holds one moment. A data folder holds the newest, and how far back it reaches is what the server's
--log-retention has kept; INFO shows it (restore_oldest_lsn, restore_oldest_time), but in mode bitcask only a restore finds it out.
A moment outside of that is refused, with what there is. The origin is not changed, and never is anything restored in place: NEW
is a folder of its own, which a server can be started with, beside the old one. It has the mode of the origin, and room is
needed for all that is live. It takes the memory that the store takes: in mode bitcask that of its keys.

In mode bitcask a snapshot is a folder, snapshot-NUMBER in the data folder, and can be restored as it lies there, also while the
server runs; but the server removes it when it has taken the next one. So can a copy of it, for example one that rsync has made.
Such a backup or snapshot holds earlier moments, too, as far as merges have not left out what was replaced since.

NEW begins a history of its own: versions that it gives to writes are above all that the origin has ever given.

The exit status is 0 if NEW is there, 1 if the origin is damaged, and 2 after any other error; then NEW holds no store.`

func newRestore(t terminal) *cobra.Command {
	var cfg restoreConfig
	s := &settings{options: cfg.options()}
	c := &cobra.Command{
		Use:   "restore FILE --dir NEW | restore --from PATH --dir NEW",
		Short: "Make a data folder from a backup, or of an earlier moment",
		Long:  restoreLong,
		Example: "  nitrokv restore monday.nitro --dir ./restored\n  nitrokv restore --from ./data --to-time 2030-01-31T12:00:00Z --dir ./restored\n" +
			"  nitrokv restore --from ./data --to-lsn 42069 --dir ./restored",
		DisableFlagsInUseLine: true,
		RunE: func(_ *cobra.Command, args []string) error {
			warnUnknown(t)
			err := s.resolve(t.env)
			if err == nil {
				err = cfg.finish(args)
			}
			if err == nil {
				err = cfg.run(t)
			}
			if err != nil {
				return fmt.Errorf("restore: %w", err)
			}
			return nil
		},
	}
	s.attach(c)
	return c
}

// finish takes the operand, and refuses what contradicts itself.
func (c *restoreConfig) finish(args []string) error {
	switch {
	case len(args) > 1 || len(args) == 1 && args[0] == "":
		return fmt.Errorf("needs one file, got %d operands; write: nitrokv restore FILE --dir NEW", len(args))
	case len(args) == 1 && c.from != "":
		return fmt.Errorf("got %s and --from %s; restore from one of them", args[0], c.from)
	case len(args) == 1:
		c.from = args[0]
	case c.from == "":
		return errors.New("from what? write: nitrokv restore FILE --dir NEW, or nitrokv restore --from PATH --dir NEW")
	}
	switch {
	case c.dir == "":
		return errors.New("to where? name a new folder with --dir")
	case c.lsn != 0 && !c.at.IsZero():
		return errors.New("--to-lsn and --to-time are both given, but only one of them can count; drop one")
	}
	return c.apart()
}

// apart refuses to restore in place: into the folder that is restored from or into one inside of it, or beside the file,
// where a server would take it for one of its own.
func (c *restoreConfig) apart() error {
	from, err := realPath(c.from)
	if err != nil {
		return err
	}
	if st, err := os.Stat(from); err == nil && !st.IsDir() {
		from = filepath.Dir(from)
	} else if err != nil {
		return err
	} else if above := filepath.Dir(from); holdsStore(above) { // a snapshot in a data folder
		from = above
	}
	dir, err := realPath(c.dir)
	if err != nil {
		return err
	}
	into, err := filepath.Rel(from, dir)
	inside := err == nil && into != ".." && !strings.HasPrefix(into, ".."+string(filepath.Separator))
	if inside && (into == "." || isFolder(c.from)) {
		return fmt.Errorf("--dir %s is where %s is, and nothing is restored in place; name a new folder outside of it", c.dir, c.from)
	}
	return nil
}

func holdsStore(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "MANIFEST"))
	return err == nil
}

func isFolder(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// realPath is a path without links in it. The end of it need not exist.
func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	for rest := ""; ; {
		real, err := filepath.EvalSymlinks(path)
		if err == nil {
			return filepath.Join(real, rest), nil
		}
		if !errors.Is(err, fs.ErrNotExist) || path == filepath.Dir(path) {
			return "", err
		}
		rest, path = filepath.Join(filepath.Base(path), rest), filepath.Dir(path)
	}
}

// run restores, and reports on stdout.
func (c *restoreConfig) run(t terminal) error {
	reading := newReading("restoring")
	hide := newStatusLine(t.stderr).show(reading.text)
	r, err := engine.Restore(engine.RestoreOptions{
		From: c.from, Dir: c.dir, ToLSN: c.lsn, ToTime: c.at, KeepExpired: c.keepExpired, MaxFileBytes: c.fileBytes, Progress: reading.progress,
	})
	hide()
	if err != nil {
		err = ofFile(trimPrefix(err, "engine: restore: "), "restore ")
		if early := c.lsn != 0 && c.lsn < r.FirstLSN || !c.at.IsZero() && c.at.Before(r.FirstTime); early {
			err = c.nameSnapshots(err)
		}
		return err
	}
	return writeAll(t.stdout, []byte(c.summary(&r)))
}

// nameSnapshots adds what else there is in the folder to an error about a moment that can't be restored: each snapshot is a moment of
// its own, which may lie before all that the data files still show.
func (c *restoreConfig) nameSnapshots(err error) error {
	found, _ := filepath.Glob(filepath.Join(c.from, "snapshot-*", "MANIFEST")) // the pattern is a good one, but for what is in the name
	if len(found) == 0 {
		return err
	}
	for i, path := range found {
		found[i] = shellWord(filepath.Dir(path))
	}
	return fmt.Errorf("%w; there is also an older snapshot, see what it is of: nitrokv backup verify %s", err, strings.Join(found, ", or "))
}

// summary says what has been reached, and what to do with it.
func (c *restoreConfig) summary(r *engine.RestoreResult) string {
	text := fmt.Sprintf("restored %s to %s: LSN %d of %s\n", countText(r.Keys, "key"), c.dir, r.LSN, timeText(r.Time))
	if r.LSN == 0 {
		text = fmt.Sprintf("restored %s to %s: the empty store before the first write\n", countText(r.Keys, "key"), c.dir)
	}
	if r.Expired > 0 {
		text += fmt.Sprintf("%s of these had expired since then, and expire no more\n", countText(r.Expired, "key"))
	}
	return text + "start a server with it: nitrokv serve --dir " + shellWord(c.dir) + "\n"
}

// lsnTo stores the number of a write.
func lsnTo(dst *uint64) func(string) error {
	return func(text string) error {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil || n == 0 {
			return errors.New("not an LSN; write a whole number from 1, for example 42069")
		}
		*dst = n
		return nil
	}
}

// timeTo stores a time of RFC 3339.
func timeTo(dst *time.Time) func(string) error {
	return func(text string) error {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return errors.New("not a time of RFC 3339; write for example 2030-01-31T12:00:00Z or 2030-01-31T14:00:00+02:00")
		}
		*dst = at
		return nil
	}
}
