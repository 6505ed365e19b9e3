package engine

import (
	"fmt"
	"syscall"
)

// diskRoom is what the file system of a folder has left for this process, and its size, in bytes.
type diskRoom struct{ left, size uint64 }

func diskRoomOf(dir string) (diskRoom, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return diskRoom{}, fmt.Errorf("engine: ask for the free space of %s: %w", dir, err)
	}
	unit := uint64(fs.Frsize) // what blocks are counted in; the other one is what is read best at once
	if unit == 0 {
		unit = uint64(fs.Bsize)
	}
	if fs.Blocks == 0 {
		return diskRoom{}, fmt.Errorf("engine: ask for the free space of %s: its file system does not tell", dir)
	}
	return diskRoom{left: fs.Bavail * unit, size: fs.Blocks * unit}, nil
}

// Values of MergeOptions.DiskLeftPercent.
const (
	// MergeDiskLeftOff leaves the disk out of account.
	MergeDiskLeftOff = -1

	mergeDiskLeft = 5 // that of 0
)

// defaultMaxFileBytes is Options.MaxFileBytes 0.
const defaultMaxFileBytes = 1 << 30

// fileBytes is the size of a data file.
func (s *Store) fileBytes() uint64 {
	if s.opt.MaxFileBytes != 0 {
		return uint64(s.opt.MaxFileBytes)
	}
	return defaultMaxFileBytes
}

// scarce reports whether the room on a disk is, for files of that size. `already`: it has been; then it takes a quarter more
// to be over, so that this doesn't change with every file.
func (o *MergeOptions) scarce(r diskRoom, fileBytes uint64, already bool) bool {
	percent := o.DiskLeftPercent
	switch percent {
	case MergeDiskLeftOff:
		return false
	case 0:
		percent = mergeDiskLeft
	}
	limit := max(r.size/100*uint64(percent), 2*fileBytes)
	if already {
		limit += limit / 4
	}
	return r.left < limit
}

// lookAtDisk renews what merges know of the disk, and says once when room becomes scarce, or is no longer. A file system
// that doesn't tell leaves that as it was.
func (s *Store) lookAtDisk() {
	m := &s.merges
	if s.mode != ModeBitcask {
		return
	}
	r, err := m.diskRoom(s.opt.Dir)
	if err != nil {
		return
	}
	m.room.Store(&r)
	was := m.scarce.Load()
	is := s.opt.Merge.scarce(r, s.fileBytes(), was)
	if is == was {
		return
	}
	m.scarce.Store(is)
	if !is {
		s.opt.Logger.Info("there is room on the disk again", "dir", s.opt.Dir, "left", r.left, "size", r.size)
		return
	}
	what := "data files are merged now when a sixteenth of them is dead, though that writes more"
	switch {
	case s.opt.Merge.Off:
		what = "merges are off: MERGE gives back what is dead"
	case s.keepsReplaced():
		what = "merges give back nothing while a snapshot or the retention keeps what they replace, so none is made for that"
	}
	s.opt.Logger.Warn("little room is left on the disk: "+what+". Make room, or delete data; when there is none, writes are refused",
		"dir", s.opt.Dir, "left", r.left, "size", r.size)
}

// keepsReplaced reports whether files that merges replace stay on the disk: they are retained, or a snapshot has them under a second name.
func (s *Store) keepsReplaced() bool { return s.opt.retains() || s.Folder().Snapshots > 0 }

// mergesLag reports whether what is dead in all files together is more than a single one should have, so that it piles up faster than
// merges give it back: twice the share at which files are merged, or as much as is live, if that is a larger share. Two
// files don't count, that which is written to and one that is merged.
func (o *MergeOptions) mergesLag(f *DataFiles, fileBytes uint64) bool {
	share := mergeDeadPercent
	if o.DeadPercent != 0 {
		share = o.DeadPercent
	}
	share = max(share, min(2*share, 50))
	all := f.PutBytes + f.GoneBytes
	return all-min(f.LiveBytes, all) > all/100*uint64(share)+2*fileBytes
}
