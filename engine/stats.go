package engine

/*
#include "nitro.h"
*/
import "C"

// Stats are the engine's counters. Each is exact; together they are only as consistent as concurrent writers allow.
type Stats struct {
	Keys, KeysWithExpiry                    uint64
	Hits, Misses, Expired, Writes, Deletes  uint64
	Splits, Merges                          uint64 // of single buckets
	HashSwitches, Segments, SegmentsSipHash uint64

	KeyBytes, ValueBytes uint64 // logical
	TableBytes           uint64 // buckets, directories
	EntryBytes           uint64 // entries with headers and padding, large values too
	SlackBytes           uint64 // free space inside spans and pages
	PoolFreeBytes        uint64 // resident pages that nobody uses at the moment
	ChunkBytes           uint64 // read and reply buffers, sessions
	GarbageBytes         uint64 // flushed or deleted, not yet freed
	FixedBytes           uint64 // store and segment headers
	UsedBytes            uint64 // what MaxMemory is compared with
	ResidentBytes        uint64 // all of the above
	MaxMemory            uint64 // 0: no limit

	Buckets, OverflowBuckets uint64
	EvacuatedEntries         uint64
	LockBusy                 uint64 // tries that found a segment locked
	MaxBucketsPerCall        uint64 // the most that one call did under one segment lock
	MaxEntriesPerCall        uint64
	MaxBytesPerCall          uint64

	// Of the log since the store was opened: records appended, frames and bytes written, writes, syncs.
	LogRecords, LogFrames, LogBytes, LogWrites, LogSyncs uint64

	SnapshotBytes   uint64 // buffers of the snapshot that is under way; part of ResidentBytes
	SnapshotEmitted uint64 // entries that writers have saved for snapshots
	SnapshotBusy    uint64 // writes that had to wait for room to do so

	// With Options.ValueCompression, of the values of 64 bytes and more that were written since the store was opened (a
	// direct call that had to make room in the log first counts them again):
	PackedValues    uint64 // those that have become smaller
	PackRawBytes    uint64 // bytes of all of them …
	PackStoredBytes uint64 // … and in the data files
}

// Stats sums the counters. A closed store has none.
func (s *Store) Stats() Stats {
	t, err := s.enter()
	if err != nil {
		return Stats{}
	}
	var c C.struct_nitro_stats
	C.nitro_stats(s.c, &c)
	s.gate.runlock(t)
	return Stats{
		Keys: uint64(c.keys), KeysWithExpiry: uint64(c.keys_with_expiry),
		Hits: uint64(c.hits), Misses: uint64(c.misses), Expired: uint64(c.expired),
		Writes: uint64(c.writes), Deletes: uint64(c.deletes),
		Splits: uint64(c.splits), Merges: uint64(c.merges), HashSwitches: uint64(c.hash_switches),
		Segments: uint64(c.segments), SegmentsSipHash: uint64(c.segments_siphash),
		KeyBytes: uint64(c.key_bytes), ValueBytes: uint64(c.value_bytes),
		TableBytes: uint64(c.table_bytes), EntryBytes: uint64(c.entry_bytes),
		SlackBytes: uint64(c.slack_bytes), PoolFreeBytes: uint64(c.pool_free_bytes),
		ChunkBytes: uint64(c.chunk_bytes), GarbageBytes: uint64(c.garbage_bytes),
		FixedBytes: uint64(c.fixed_bytes), UsedBytes: uint64(c.used_bytes),
		ResidentBytes: uint64(c.resident_bytes), MaxMemory: uint64(c.max_memory),
		Buckets: uint64(c.buckets), OverflowBuckets: uint64(c.overflow_buckets),
		EvacuatedEntries: uint64(c.evacuated_entries), LockBusy: uint64(c.lock_busy),
		MaxBucketsPerCall: uint64(c.max_buckets_per_call),
		MaxEntriesPerCall: uint64(c.max_entries_per_call),
		MaxBytesPerCall:   uint64(c.max_bytes_per_call),
		LogRecords:        uint64(c.log_records), LogFrames: uint64(c.log_frames), LogBytes: uint64(c.log_bytes),
		LogWrites: uint64(c.log_writes), LogSyncs: uint64(c.log_syncs),
		SnapshotBytes: uint64(c.snapshot_bytes), SnapshotEmitted: uint64(c.snapshot_emitted),
		SnapshotBusy: uint64(c.snapshot_busy),
		PackedValues: uint64(c.packed_values), PackRawBytes: uint64(c.pack_raw_bytes), PackStoredBytes: uint64(c.pack_stored_bytes),
	}
}
