package violation_test

import (
	"maps"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/violation"
)

// TestRoomAtTheBoundary has a full table in which one port has the most records, another has some and all others have
// one each. Room for a record of the second port is made by the first exactly where that has two more.
func TestRoomAtTheBoundary(t *testing.T) {
	const first, second = 1, 2
	tests := []struct {
		name   string
		most   int // records that the first port has
		has    int // records that the second port has
		giving int // the port that gives a record
	}{
		{"none, and one", 1, 0, first},
		{"one, and as many", 1, 1, second},
		{"one, and one more", 2, 1, second},
		{"one, and two more", 3, 1, first},
		{"some, and as many", 10, 10, second},
		{"some, and one more", 11, 10, second},
		{"some, and two more", 12, 10, first},
		{"half, and one more", violation.MaxRecords / 2, violation.MaxRecords/2 - 1, second},
		{"half, and two more", violation.MaxRecords/2 + 1, violation.MaxRecords/2 - 1, first},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			records := map[string]int{"tap1": tt.most, "tap2": tt.has}
			b.fill(first, 0, tt.most)
			b.fill(second, 0, tt.has)
			for n := range violation.MaxRecords - tt.most - tt.has {
				b.fill(second+1+n, 0, 1)
			}
			if got := b.Len(); got != violation.MaxRecords || b.Forgotten() != 0 {
				t.Fatalf("%d records, %d forgotten", got, b.Forgotten())
			}
			b.fill(second, tt.has, tt.has+1) // one more than there is room for

			records["tap2"]++
			records[on(spoof, tt.giving).Port]--
			if got := b.recordsOf("tap1", "tap2"); !maps.Equal(got, records) {
				t.Errorf("records are %v, want %v", got, records)
			}
			if b.Forgotten() != 1 || b.counts()[on(forged(0), tt.giving)] != 0 {
				t.Errorf("%d forgotten, want the one of tap%d that was seen longest ago", b.Forgotten(), tt.giving)
			}
		})
	}
}

// fill adds violations on a port, by their numbers from first up to end, which is not one of them.
func (b *bench) fill(port, first, end int) {
	for n := first; n < end; n++ {
		b.time = b.time.Add(time.Millisecond)
		b.add(on(forged(n), port))
	}
}

// recordsOf returns how many records ports have.
func (b *bench) recordsOf(ports ...string) map[string]int {
	records := map[string]int{}
	for _, p := range ports {
		records[p] = 0
	}
	for v := range b.counts() {
		if _, ok := records[v.Port]; ok {
			records[v.Port]++
		}
	}
	return records
}
