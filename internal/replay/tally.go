package replay

import "iter"

// maxRows is the number of different rows in a list of the summary.
const maxRows = 20

// A tally counts equal values, and lists the first maxRows different ones.
type tally[T comparable] struct {
	listed []T
	times  map[T]int
	more   int // number of values that are not listed
}

func (t *tally[T]) add(v T) {
	if t.times[v] == 0 {
		if len(t.listed) == maxRows {
			t.more++
			return
		}
		t.listed = append(t.listed, v)
	}
	if t.times == nil {
		t.times = map[T]int{}
	}
	t.times[v]++
}

// all yields the listed values with their counts.
func (t *tally[T]) all() iter.Seq2[T, int] {
	return func(yield func(T, int) bool) {
		for _, v := range t.listed {
			if !yield(v, t.times[v]) {
				return
			}
		}
	}
}
