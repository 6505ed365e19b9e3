package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/nitrokv/nitrokv/engine"
)

// Backups
//
// BACKUP name takes a snapshot and copies its file into the backup folder, which is the one place that a client can make
// files in: a name is a plain name, and os.Root keeps even a link in the folder from leading out of it.
//
// The copy is name.tmp until all of it is on disk; a backup with its own name is therefore whole. Whoever writes it holds a
// lock on it. So what a crash has left behind is told from what somebody is writing, and only the former is removed.

const (
	backupNameMax = 200 // bytes: with the suffix it fits into a folder of any file system
	backupSuffix  = ".tmp"

	copyBytes = 1 << 20
	// copySyncBytes is how much of a copy may wait for the disk: the log's own syncs stand behind it.
	copySyncBytes = 64 << 20
)

// A backup that cannot be made, for a reason that the client can do something about.
var (
	errBackupName   = errors.New("a backup's name has 1 to 200 of the characters A-Z a-z 0-9 . _ -, does not begin with a dot and does not end in .tmp")
	errBackupExists = errors.New("there is a backup of that name; choose another name, or delete it first")
	errBackupBusy   = errors.New("a backup of that name is being written now")
)

// checkBackupName refuses what is no plain name.
func checkBackupName(name string) error {
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
	if name == "" || len(name) > backupNameMax || name[0] == '.' || strings.HasSuffix(name, backupSuffix) ||
		strings.Trim(name, allowed) != "" {
		return errBackupName
	}
	return nil
}

// backupCommand is BACKUP name; it answers what the backup holds.
func (r *request) backupCommand() {
	s := r.c.srv
	name := r.args[1]
	if r.refusesSnapshots() {
		return
	}
	if err := checkBackupName(name); err != nil {
		r.fail("ERR %v", err)
		return
	}
	ctx, unblock, ok := r.c.block(context.Background(), r.fd, r.ch)
	if !ok {
		return
	}
	defer unblock()
	info, err := s.backup(ctx, name)
	if err != nil {
		s.log.Warn("a backup was not made", "name", name, "dir", s.opt.BackupDir, "client", r.c.id, "error", err)
		r.snapshotError(ctx, "the backup "+name+" was not made", err)
		return
	}
	s.log.Info("backup made", "name", name, "dir", s.opt.BackupDir, "client", r.c.id, "keys", info.Keys, "bytes", info.Bytes,
		"lsn", info.LSN)
	s.warnOfDamage("the backup "+name, r.c.id)
	r.dict(5)
	r.bulk("name")
	r.bulk(name)
	r.bulk("bytes")
	r.int(int64(info.Bytes))
	r.bulk("keys")
	r.int(int64(info.Keys))
	r.bulk("lsn")
	r.int(int64(info.LSN))
	r.bulk("hash")
	r.bulk(hashText(&info))
}

// backup takes a snapshot and keeps it under a name.
func (s *Server) backup(ctx context.Context, name string) (engine.SnapshotInfo, error) {
	var none engine.SnapshotInfo
	root, err := openBackupDir(s.opt.BackupDir, s.opt.Dir)
	if err != nil {
		return none, err
	}
	defer closeFile(root)
	tmp, err := createBackup(root, name)
	if err != nil {
		return none, err
	}
	defer closeFile(tmp)
	info, err := s.fillBackup(ctx, tmp)
	if err == nil {
		err = publishBackup(root, name)
	}
	if err != nil {
		return none, errors.Join(err, discard(root, name+backupSuffix))
	}
	return info, nil
}

// openBackupDir opens the backup folder, which is made if it is missing; not what is above it: that may be a disk that is
// not mounted. It may not be the data folder: a start removes or refuses files there that look like its own.
func openBackupDir(dir, data string) (*os.Root, error) {
	switch err := os.Mkdir(dir, 0o700); {
	case errors.Is(err, fs.ErrExist):
	case err != nil:
		return nil, fmt.Errorf("make the backup folder: %w", err)
	default:
		if err := syncDir(os.Open(filepath.Dir(dir))); err != nil {
			return nil, fmt.Errorf("sync the folder above the backup folder: %w", err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the backup folder: %w", err)
	}
	if err := notTheDataFolder(root, data); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

func notTheDataFolder(root *os.Root, data string) error {
	theirs, err := os.Stat(data)
	if err != nil {
		return fmt.Errorf("look at the data folder: %w", err)
	}
	ours, err := root.Stat(".")
	if err != nil {
		return fmt.Errorf("look at the backup folder: %w", err)
	}
	if os.SameFile(ours, theirs) {
		return fmt.Errorf("%s is the data folder; name another one with --backup-dir", root.Name())
	}
	return nil
}

// createBackup makes name.tmp, locked, unless there is a backup of that name or somebody is writing one. The name is
// looked for while the lock is held, so nobody can have taken it when publishBackup gives it.
func createBackup(root *os.Root, name string) (*os.File, error) {
	if err := removeLeftover(root, name+backupSuffix); err != nil {
		return nil, err
	}
	f, err := root.OpenFile(name+backupSuffix, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, errBackupBusy
	}
	if err != nil {
		return nil, fmt.Errorf("make its file: %w", err)
	}
	if err := lockFile(root, name+backupSuffix, f); err != nil { // whoever was faster takes it for a leftover, and removes it
		return nil, errors.Join(err, f.Close())
	}
	switch _, err = root.Lstat(name); {
	case errors.Is(err, fs.ErrNotExist):
		return f, nil
	case err == nil:
		err = errBackupExists
	}
	return nil, errors.Join(err, discard(root, name+backupSuffix), f.Close())
}

// removeLeftover removes the file that a crash has left behind while it was written. While the lock on it is held here
// nobody else can take it for his own.
func removeLeftover(root *os.Root, name string) error {
	f, err := root.OpenFile(name, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at what an earlier backup has left: %w", err)
	}
	defer closeFile(f)
	if err := lockFile(root, name, f); err != nil {
		return err
	}
	return discard(root, name)
}

// discard removes a file that may be gone already.
func discard(root *os.Root, name string) error {
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove what is not complete: %w", err)
	}
	return nil
}

// lockFile locks a file that is being written; the lock goes with the descriptor, or the process. Between open and lock
// somebody else may have removed the file, and made another one of the same name: then that one is his.
func lockFile(root *os.Root, name string, f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errBackupBusy
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	locked, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at %s: %w", f.Name(), err)
	}
	named, err := root.Lstat(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look at %s: %w", f.Name(), err)
	}
	if err != nil || !os.SameFile(locked, named) {
		return errBackupBusy
	}
	return nil
}

// fillBackup takes a snapshot, copies it into the file, and syncs that.
func (s *Server) fillBackup(ctx context.Context, to *os.File) (engine.SnapshotInfo, error) {
	from, err := s.store.OpenSnapshot(ctx)
	if err != nil {
		return engine.SnapshotInfo{}, err
	}
	defer closeFile(from)
	if err := copySynced(ctx, to, from, from.Size()); err != nil {
		return engine.SnapshotInfo{}, err
	}
	return from.Info(), nil
}

// copySynced copies size bytes. It syncs as it goes, which also bounds how long the end of ctx is not noticed.
func copySynced(ctx context.Context, to *os.File, from io.ReaderAt, size int64) error {
	buf := make([]byte, copyBytes)
	for at, synced := int64(0), int64(0); at < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := int(min(size-at, copyBytes))
		if _, err := from.ReadAt(buf[:n], at); err != nil {
			return fmt.Errorf("read the snapshot at byte %d of %d: %w", at, size, err)
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		if at += int64(n); at-synced < copySyncBytes && at < size {
			continue
		}
		if err := to.Sync(); err != nil {
			return fmt.Errorf("sync: %w", err)
		}
		synced = at
	}
	return nil
}

// publishBackup gives the written file its name, durably or not at all.
func publishBackup(root *os.Root, name string) error {
	if err := root.Rename(name+backupSuffix, name); err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	if err := syncDir(root.Open(".")); err != nil {
		return errors.Join(fmt.Errorf("sync the backup folder: %w", err), discard(root, name))
	}
	return nil
}

// syncDir makes the names in a folder durable; it takes what opening the folder has returned.
func syncDir(dir *os.File, err error) error {
	if err != nil {
		return err
	}
	defer closeFile(dir)
	return dir.Sync()
}

// closeFile closes what has been read only, or synced already, so that an error tells nothing.
func closeFile(f io.Closer) { _ = f.Close() }
