package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// DiskBytes is the room that the data folder takes on the disk, everything in it included: the blocks that are set aside
// for its files, each file once, however many names it has there. It asks for every file: not for every request.
// 0 without a folder.
func (s *Store) DiskBytes() (uint64, error) {
	if s.closed.Load() {
		return 0, ErrClosed
	}
	if s.snaps.root == nil {
		return 0, nil
	}
	var sum uint64
	seen := make(map[uint64]bool) // inodes with several names: the folder lies on one file system
	err := fs.WalkDir(s.snaps.root.FS(), ".", func(_ string, d fs.DirEntry, err error) error {
		var info fs.FileInfo
		if err == nil {
			info, err = d.Info()
		}
		if errors.Is(err, fs.ErrNotExist) { // it has gone meanwhile
			return nil
		}
		if errors.Is(err, fs.ErrPermission) && d != nil && d.IsDir() { // somebody else's, as lost+found is
			return fs.SkipDir
		}
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok || seen[st.Ino] {
			return nil
		}
		if st.Nlink > 1 && !d.IsDir() {
			seen[st.Ino] = true
		}
		sum += uint64(st.Blocks) * 512
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("engine: look through the data folder: %w: %w", ErrIO, err)
	}
	return sum, nil
}
