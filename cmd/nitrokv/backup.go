package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/nitrokv/nitrokv/cmd/nitrokv/internal/backup"
	"github.com/nitrokv/nitrokv/cmd/nitrokv/internal/resp"
	"github.com/nitrokv/nitrokv/cmd/nitrokv/internal/transfer"
	"github.com/nitrokv/nitrokv/engine"
)

// backupConfig is what further options of "nitrokv backup" set.
type backupConfig struct {
	force    bool
	noVerify bool
}

func (c *backupConfig) options() []option {
	return []option{
		{name: "force", def: "false", flag: true, set: boolTo(&c.force), help: "Replace the file if there is one"},
		{name: "no-verify", def: "false", flag: true, set: boolTo(&c.noVerify), help: "Don't read the file back when it is written"},
	}
}

const backupLong = `Copy everything that a server holds to a file, or to stdout ("-"), while it goes on serving.

The server takes a snapshot: all keys exactly as they were at one moment, in the middle of no batch. It is read back and
compared with what the server has said of it, unless it goes to stdout. The file gets its name when it is complete,
verified and on disk; until then, and if something fails, there is what was there before.

A server in mode bitcask has nothing to write for a snapshot, and sends its data files: the backup is an archive, of which tar xf makes a
data folder again. It is read back, too, but the server has not counted what is in it.

"nitrokv backup verify FILE" reads a file and checks every byte; "nitrokv restore FILE --dir NEW" makes a data folder of
it. The exit status is 0 if all is well, 1 if a file is damaged, and 2 after any other error.`

func newBackup(t terminal) *cobra.Command {
	var kv kvConfig
	var cfg backupConfig
	s := &settings{options: append(cfg.options(), kv.serverOptions()...)}
	c := &cobra.Command{
		Use:                   "backup FILE | backup - | backup verify FILE",
		Short:                 "Copy a running server's data to a file",
		Long:                  backupLong,
		Example:               "  nitrokv backup monday.nitro\n  nitrokv backup - --addr db:6379 | ssh vault 'cat > monday.nitro'\n  nitrokv backup verify monday.nitro",
		DisableFlagsInUseLine: true,
		Args:                  oneBackup,
		RunE: func(_ *cobra.Command, args []string) error {
			warnUnknown(t)
			err := s.resolve(t.env)
			if err == nil {
				err = cfg.run(&kv, args[0], t)
			}
			if err != nil {
				return fmt.Errorf("backup: %w", err)
			}
			return nil
		},
	}
	s.attach(c)
	c.AddCommand(newBackupVerify(t))
	return c
}

func oneBackup(_ *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return fmt.Errorf("backup: needs one file, got %d operands; write: nitrokv backup FILE, or nitrokv backup - for stdout", len(args))
	}
	return nil
}

// run makes a backup. A signal ends it, and a file that is not complete is removed.
func (c *backupConfig) run(kv *kvConfig, name string, t terminal) error {
	if err := c.mayWrite(name, t.stdout); err != nil {
		return err
	}
	password, err := kv.readPassword(t)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)()
	began := time.Now()
	job := backup.New(kv.addr, resp.Options{Password: password, Timeout: kv.timeout})
	hide := newStatusLine(t.stderr).show(func() string { return backupProgress(job, time.Since(began)) })
	info, standing, err := c.write(ctx, job, name, t.stdout)
	hide()
	if err != nil {
		return backupError(ctx, kv, name, standing, err)
	}
	said := t.stdout
	if name == "-" {
		said = t.stderr
	}
	return writeAll(said, []byte(c.summary(kv.addr, name, &info, time.Since(began))+"\n"))
}

// mayWrite refuses what nobody wants to write to.
func (c *backupConfig) mayWrite(name string, stdout io.Writer) error {
	if name == "-" {
		if isTerminal(stdout) {
			return errors.New("a backup is no text for a terminal; name a file, or redirect stdout")
		}
		return nil
	}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, os.ErrNotExist), err == nil && !info.Mode().IsRegular() && !info.IsDir():
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a folder; name a file in it", name)
	case !c.force:
		return fmt.Errorf("%s exists; name another file, or replace it with --force", name)
	}
	return nil
}

// write carries the backup to its place.
func (c *backupConfig) write(ctx context.Context, job *backup.Job, name string, stdout io.Writer) (info backup.Info, standing transfer.Standing, err error) {
	if name == "-" {
		info, err = job.Run(ctx, stdout)
		return info, transfer.InPlace, err
	}
	standing, err = transfer.Replace(name, func(w io.Writer) error {
		if info, err = job.Run(ctx, w); err != nil {
			return err
		}
		return c.verify(w.(*os.File), &info)
	})
	return info, standing, err
}

// verify reads a new file back.
func (c *backupConfig) verify(f *os.File, want *backup.Info) error {
	kind, err := f.Stat()
	if err != nil || c.noVerify || !kind.Mode().IsRegular() {
		return err
	}
	got, err := engine.VerifySnapshot(f.Name(), nil)
	if err != nil {
		return fmt.Errorf("read the backup back: %w", ofFile(err, "engine: verify: verify "))
	}
	hash := got.Hash.String()
	if want.Hash == "" { // nobody has counted what is in a snapshot of mode bitcask
		want.Keys, want.Hash = got.Keys, hash
	}
	if got.LSN != want.LSN || got.Keys != want.Keys || hash != want.Hash {
		return fmt.Errorf("read the backup back: it holds %s, LSN %d and hash %s, but the server has said %s, LSN %d and hash %s; try again, and see to disk and network if that happens again",
			countText(got.Keys, "key"), got.LSN, hash, countText(want.Keys, "key"), want.LSN, want.Hash)
	}
	return nil
}

// summary is the last line of a backup that has come to its end.
func (c *backupConfig) summary(addr, name string, info *backup.Info, took time.Duration) string {
	where, verified := name, "read back and verified"
	switch {
	case name == "-":
		where, verified = "stdout", "not verified: see nitrokv backup verify FILE"
	case c.noVerify:
		verified = "not verified: see nitrokv backup verify " + shellWord(name)
	}
	keys, hash := countText(info.Keys, "key"), ", hash "+info.Hash
	if info.Hash == "" {
		keys, hash = "about "+keys, ""
	}
	return fmt.Sprintf("backup of %s in %s: %s, %s, LSN %d of %s%s; %s; took %v", addr, where, keys,
		sizeText(uint64(info.Size)), info.LSN, timeText(info.Time), hash, verified, took.Round(time.Millisecond))
}

// timeText is a time as --to-time takes it.
func timeText(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

func backupProgress(job *backup.Job, elapsed time.Duration) string {
	done, size := job.Progress()
	switch {
	case size == 0:
		return fmt.Sprintf("the server takes a snapshot, %v", elapsed.Round(time.Second))
	case done < size:
		return barText("copying", uint64(done), uint64(size), elapsed)
	}
	return "verifying"
}

// backupError says what a backup has failed on, and what there is of it.
func backupError(ctx context.Context, kv *kvConfig, name string, standing transfer.Standing, err error) error {
	var refused *backup.RefusedError
	switch {
	case ctx.Err() != nil && errors.Is(err, context.Cause(ctx)):
		err = errors.New("interrupted")
	case errors.As(err, &refused):
		err = fmt.Errorf("the server at %s refuses: %s", kv.addr, refused.Text)
		if strings.HasPrefix(refused.Text, "NOAUTH") {
			err = fmt.Errorf("%w Name a file with the password with --password-file, or set NITROKV_PASSWORD", err)
		}
	case errors.Is(err, syscall.ECONNREFUSED):
		err = kv.explain(ctx, err)
	}
	switch {
	case name == "-" || standing == transfer.InPlace:
		return fmt.Errorf("%w; what was written is no backup", err)
	case standing == transfer.New:
		return fmt.Errorf("%w; %s is the new backup and whole, but may be what it was before if the machine loses its power; "+
			"see to the disk, and repeat the backup", err, name)
	}
	if _, gone := os.Stat(name); gone != nil {
		return fmt.Errorf("%w; no file was made", err)
	}
	return fmt.Errorf("%w; %s is as it was", err, name)
}
