package server

import (
	"context"
	"math"
	"slices"
	"strconv"

	"github.com/nitrokv/nitrokv/engine"
)

// SNAPSHOT OPEN, READ and CLOSE: a client takes a snapshot and reads its file, piece by piece and at its own pace; that is
// how "nitrokv backup" makes a file on another machine. The file stays readable while it is open here, although the
// data folder may have dropped it: so a slow client costs disk space and holds up nobody.

const (
	snapshotReadMax = 4 << 20 // bytes that one READ answers
	snapshotsMax    = 4       // open on the server at once: each may hold disk space that nobody else needs
)

var snapshotCommands = &container{name: "snapshot", subs: []subcommand{
	{"close", 3, "handle", "Ends the reading of a snapshot.", (*request).snapshotClose},
	{"open", 2, "", "Takes a snapshot and opens it: handle, bytes, LSN, time in ms, keys, hash of the contents.",
		(*request).snapshotOpen},
	{"read", 5, "handle offset bytes", "Reads up to 4194304 bytes of an open snapshot; none at its end.",
		(*request).snapshotRead},
}}

// openSnapshot is a snapshot that a connection reads.
type openSnapshot struct {
	handle uint64 // no other snapshot of this server has it
	file   *engine.SnapshotFile
	buf    []byte // what READ reads into; a reply may be written from it
}

// snapshotOpen is SNAPSHOT OPEN: one per connection, and few on the server.
func (r *request) snapshotOpen() {
	c, s := r.c, r.c.srv
	if r.refusesSnapshots() {
		return
	}
	if c.snap != nil {
		r.fail("ERR this connection has a snapshot open: SNAPSHOT CLOSE %d first", c.snap.handle)
		return
	}
	if s.total.snapshots.Add(1) > snapshotsMax {
		s.total.snapshots.Add(-1)
		r.fail("ERR %d snapshots are being read, which is the most: try again when one of them is done", snapshotsMax)
		return
	}
	if !r.takeSnapshot() {
		s.total.snapshots.Add(-1)
		return
	}
	info := c.snap.file.Info()
	r.array(6)
	r.int(int64(c.snap.handle))
	r.int(c.snap.file.Size())
	r.int(int64(info.LSN))
	r.int(info.Time.UnixMilli())
	r.int(int64(info.Keys))
	r.bulk(hashText(&info))
}

// takeSnapshot gives the connection a snapshot to read, or answers why there is none.
func (r *request) takeSnapshot() bool {
	c, s := r.c, r.c.srv
	ctx, unblock, ok := c.block(context.Background(), r.fd, r.ch)
	if !ok {
		return false
	}
	defer unblock()
	file, err := s.store.OpenSnapshot(ctx)
	if err != nil {
		r.snapshotError(ctx, "the snapshot was not taken", err)
		return false
	}
	s.warnOfDamage("the snapshot that a client reads", c.id)
	c.snap = &openSnapshot{handle: s.total.nextSnapshot.Add(1), file: file}
	return true
}

// snapshotRead is SNAPSHOT READ handle offset bytes. The reply is written from the buffer that has been read into.
func (r *request) snapshotRead() {
	snap := r.snapshotOf(r.args[2])
	if snap == nil {
		return
	}
	offset, ok := parseIntBelow(r.args[3], 0, math.MaxInt64)
	if !ok {
		r.fail("ERR the offset is not a number of bytes, 0 or more")
		return
	}
	n, ok := parseIntBelow(r.args[4], 1, snapshotReadMax)
	if !ok {
		r.fail("ERR the number of bytes is not 1 to %d", snapshotReadMax)
		return
	}
	n = min(n, max(snap.file.Size()-offset, 0))
	snap.buf = slices.Grow(snap.buf[:0], int(n)+len("\r\n"))
	data := snap.buf[:n]
	if _, err := snap.file.ReadAt(data, offset); err != nil {
		r.fail("ERR %d bytes of the snapshot cannot be read from byte %d on: %v", n, offset, err)
		return
	}
	r.head('$', int(n))
	r.behind = append(data, "\r\n"...)
}

// snapshotClose is SNAPSHOT CLOSE handle.
func (r *request) snapshotClose() {
	if r.snapshotOf(r.args[2]) == nil {
		return
	}
	r.c.closeSnapshot()
	r.ok()
}

// snapshotOf is the connection's snapshot, if that is its handle; else it answers that it is not.
func (r *request) snapshotOf(handle string) *openSnapshot {
	snap := r.c.snap
	if snap == nil || handle != strconv.FormatUint(snap.handle, 10) {
		r.fail("ERR this connection has opened no snapshot with the handle '%s': use what SNAPSHOT OPEN has answered on it",
			quoted(handle))
		return nil
	}
	return snap
}

// closeSnapshot ends the reading of a snapshot, if there is one: when the client asks, and with the connection.
func (c *conn) closeSnapshot() {
	if c.snap == nil {
		return
	}
	closeFile(c.snap.file)
	c.snap = nil
	c.srv.total.snapshots.Add(-1)
}
