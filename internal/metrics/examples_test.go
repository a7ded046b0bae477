package metrics

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metricsql"
	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/violation"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

// metricLabels has the labels of each exported metric.
type metricLabels map[string][]string

// targetLabels are the labels that Prometheus adds to every metric of a target.
var targetLabels = []string{"instance", "job"}

func exportedLabels(t *testing.T) metricLabels {
	t.Helper()
	families, err := newRegistry(fixed(sample(t))).Gather()
	labtest.Must(t, err)
	known := metricLabels{"up": targetLabels}
	for _, f := range families {
		labels := append(slices.Collect(maps.Keys(labelsOf(f))), targetLabels...)
		known[f.GetName()] = labels
		if len(f.GetMetric()) > 0 && f.GetMetric()[0].GetHistogram() != nil {
			delete(known, f.GetName())
			known[f.GetName()+"_bucket"] = append(labels, "le")
			known[f.GetName()+"_sum"], known[f.GetName()+"_count"] = labels, labels
		}
	}
	return known
}

// promQLFunctions are the functions that the examples use; the value tells whether the argument is a range. The parser
// also accepts functions that Prometheus lacks.
var promQLFunctions = map[string]bool{
	"rate": true, "increase": true, "changes": true,
	"histogram_quantile": false, "vector": false,
}

// A reporter receives the mistakes in queries: a *testing.T, or a counter in the test of the check itself.
type reporter interface {
	Errorf(format string, args ...any)
}

// check parses a query, reports unknown names in it, and returns the labels of its result.
func (v metricLabels) check(to reporter, query string) []string {
	query = strings.ReplaceAll(query, "$__rate_interval", "5m") // as Grafana does
	expr, err := metricsql.Parse(query)
	if err != nil {
		to.Errorf("%s: %v", query, err)
		return nil
	}
	metricsql.VisitAll(expr, func(e metricsql.Expr) {
		switch e := e.(type) {
		case *metricsql.MetricExpr:
			v.checkSelector(to, query, e)
		case *metricsql.AggrFuncExpr:
			expectKnown(to, query, e.Modifier.Args, v.labels(e.Args...))
		case *metricsql.FuncExpr:
			checkCall(to, query, e)
		}
	})
	return v.labels(expr)
}

func (v metricLabels) checkSelector(to reporter, query string, e *metricsql.MetricExpr) {
	for _, filters := range e.LabelFilterss {
		labels, ok := v[filters[0].Value]
		if filters[0].Label != "__name__" || !ok {
			to.Errorf("%s: unknown metric %s", query, filters[0].Value)
		}
		for _, f := range filters[1:] {
			expectKnown(to, query, []string{f.Label}, labels)
			checkValue(to, query, f)
		}
	}
}

// checkValue checks that the reasons and actions in a selector exist.
func checkValue(to reporter, query string, f metricsql.LabelFilter) {
	for value := range strings.SplitSeq(f.Value, "|") {
		known := true
		switch f.Label {
		case "reason":
			_, known = responder.ReasonOf(value)
		case "action":
			_, known = responder.ActionOf(value)
		}
		if !known {
			to.Errorf("%s: unknown %s %s", query, f.Label, value)
		}
	}
}

func checkCall(to reporter, query string, e *metricsql.FuncExpr) {
	wantsRange, ok := promQLFunctions[e.Name]
	if !ok {
		to.Errorf("%s: unknown function %s; add it to promQLFunctions if Prometheus has it", query, e.Name)
	}
	rollup, isRollup := e.Args[0].(*metricsql.RollupExpr)
	if hasRange := isRollup && rollup.Window != nil; hasRange != wantsRange {
		to.Errorf("%s: %s has a range: %v, want %v", query, e.Name, hasRange, wantsRange)
	}
}

func expectKnown(to reporter, query string, labels, known []string) {
	for _, label := range labels {
		if !slices.Contains(known, label) {
			to.Errorf("%s: unknown label %s", query, label)
		}
	}
}

// labels returns the labels of the results of expressions.
func (v metricLabels) labels(of ...metricsql.Expr) []string {
	var all []string
	for _, e := range of {
		switch e := e.(type) {
		case *metricsql.MetricExpr:
			all = append(all, v[e.LabelFilterss[0][0].Value]...)
		case *metricsql.RollupExpr:
			all = append(all, v.labels(e.Expr)...)
		case *metricsql.FuncExpr:
			all = append(all, v.labels(e.Args...)...)
		case *metricsql.BinaryOpExpr:
			all = append(all, v.labels(e.Left, e.Right)...)
		case *metricsql.AggrFuncExpr:
			all = append(all, v.aggregated(e)...)
		}
	}
	return all
}

// aggregated returns the labels of the result of an aggregation.
func (v metricLabels) aggregated(e *metricsql.AggrFuncExpr) []string {
	if strings.HasPrefix(e.Name, "topk") {
		return v.labels(e.Args...)
	}
	return e.Modifier.Args
}

// TestCheck checks that check reports mistakes in queries.
func TestCheck(t *testing.T) {
	v := exportedLabels(t)
	for _, query := range []string{
		`arpfabric_frame_total`, `sum by (address) (arpfabric_ports)`, `arpfabric_ports{port="vnet1"}`,
		`rate(arpfabric_frames_total)`, `arpfabric_frames_total{reason="answer"}`,
		`arpfabric_frames_total{action=~"drop|pas"}`, `sum(`, `rate_over_sum(up[5m])`,
		`vector(up[5m])`, `histogram_quantile(0.9, sum by (le) (arpfabric_ports))`, `arpfabric_answer_duration_seconds`,
	} {
		var found counted
		v.check(&found, query)
		if found == 0 {
			t.Errorf("%s: check reports no mistake", query)
		}
	}
}

// counted counts the reported mistakes.
type counted int

func (c *counted) Errorf(string, ...any) { *c++ }

// rules is a file of alert rules, with the keys that our file uses.
type rules struct {
	Groups []struct {
		Name  string
		Rules []rule
	}
}

type rule struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	labtest.Must(t, err)
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	labtest.Must(t, decoder.Decode(into))
}

func readRules(t *testing.T) (all []rule) {
	t.Helper()
	var file rules
	readYAML(t, "../../examples/prometheus/alerts.yml", &file)
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

var (
	labelInText  = regexp.MustCompile(`\$labels\.(\w+)`)
	alertInTable = regexp.MustCompile("(?m)^\\| `(Arpfabric\\w+)` \\|")
)

func TestAlerts(t *testing.T) {
	v := exportedLabels(t)
	var alerts []string
	for _, r := range readRules(t) {
		alerts = append(alerts, r.Alert)
		labels := v.check(t, r.Expr)
		if r.Annotations["summary"] == "" || !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
			t.Errorf("%s has no summary, or no severity", r.Alert)
		}
		for _, text := range r.Annotations {
			for _, match := range labelInText.FindAllStringSubmatch(text, -1) {
				expectKnown(t, r.Alert+": "+text, match[1:], labels)
			}
		}
	}
	page, err := os.ReadFile("../../docs/metrics.md")
	labtest.Must(t, err)
	var documented []string
	for _, match := range alertInTable.FindAllStringSubmatch(string(page), -1) {
		documented = append(documented, match[1])
	}
	if diff := cmp.Diff(alerts, documented); diff != "" || len(alerts) == 0 {
		t.Errorf("docs/metrics.md (-alerts.yml +written):\n%s", diff)
	}
}

// TestViolationReasons checks that the dashboard's query for violations has every reason that is a violation.
func TestViolationReasons(t *testing.T) {
	var reasons []string
	for r := range responder.Reasons() {
		if violation.Is(r) {
			reasons = append(reasons, r.String())
		}
	}
	want := `reason=~"` + strings.Join(reasons, "|") + `"`
	if !strings.Contains(strings.Join(dashboardQueries(t), "\n"), want) {
		t.Errorf("no query has %s", want)
	}
}

// TestPrometheusConfiguration checks that the example scrapes the address of the reference configuration, with the job
// name of the queries.
func TestPrometheusConfiguration(t *testing.T) {
	var file struct {
		Global  map[string]string
		Rules   []string `yaml:"rule_files"`
		Scrapes []struct {
			Job     string                       `yaml:"job_name"`
			Targets []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	const folder = "../../examples/"
	readYAML(t, folder+"prometheus/prometheus.yml", &file)
	reference, err := config.Load("../../config/reference.yaml")
	labtest.Must(t, err)
	scrape := file.Scrapes[0]
	if scrape.Job != "arpfabric" || scrape.Targets[0].Targets[0] != reference.Metrics.Listen {
		t.Errorf("job %s, targets %v; want arpfabric, and %s", scrape.Job, scrape.Targets, reference.Metrics.Listen)
	}
	for _, name := range file.Rules {
		if _, err := os.Stat(filepath.Join(folder, "prometheus", name)); err != nil {
			t.Error(err)
		}
	}
}

// dashboard is a dashboard of Grafana, with the keys that are tested.
type dashboard struct {
	Panels []struct {
		ID         int
		Title      string
		Datasource datasource
		Targets    []struct {
			Datasource         datasource
			Expr, LegendFormat string
		}
	}
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
	Annotations struct{ List []struct{ Expr string } }
}

type datasource struct{ Type, UID string }

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	data, err := os.ReadFile("../../examples/grafana/arpfabric.json")
	labtest.Must(t, err)
	labtest.Must(t, json.Unmarshal(data, &d))
	return d
}

func dashboardQueries(t *testing.T) (queries []string) {
	t.Helper()
	for _, panel := range readDashboard(t).Panels {
		for _, target := range panel.Targets {
			queries = append(queries, target.Expr)
		}
	}
	return queries
}

var (
	labelInLegend = regexp.MustCompile(`{{(\w+)}}`)
	variable      = regexp.MustCompile(`\$([a-z]\w*)`)
	labelValues   = regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`)
)

func TestDashboard(t *testing.T) {
	v, d := exportedLabels(t), readDashboard(t)
	ids := map[int]bool{}
	for _, panel := range d.Panels {
		if ids[panel.ID] || len(panel.Targets) == 0 {
			t.Errorf("panel %q has no query, or the ID of another panel", panel.Title)
		}
		ids[panel.ID] = true
		for _, target := range panel.Targets {
			labels := v.check(t, target.Expr)
			for _, match := range labelInLegend.FindAllStringSubmatch(target.LegendFormat, -1) {
				expectKnown(t, panel.Title+": "+target.LegendFormat, match[1:], labels)
			}
			if want := (datasource{"prometheus", "${datasource}"}); target.Datasource != want || panel.Datasource != want {
				t.Errorf("panel %q does not use the data source that the user chose", panel.Title)
			}
		}
	}
	for _, a := range d.Annotations.List {
		v.check(t, a.Expr)
	}
}

// TestDashboardVariables checks that the dashboard defines exactly the variables that it uses, with the values of a
// label.
func TestDashboardVariables(t *testing.T) {
	v, d := exportedLabels(t), readDashboard(t)
	used, defined := map[string]bool{"datasource": true}, map[string]bool{}
	for _, query := range dashboardQueries(t) {
		for _, match := range variable.FindAllStringSubmatch(query, -1) {
			used[match[1]] = true
		}
	}
	for _, list := range d.Templating.List {
		defined[list.Name] = true
		if list.Type == "datasource" {
			continue
		}
		match := labelValues.FindStringSubmatch(list.Definition)
		if match == nil || !slices.Contains(v[match[1]], match[2]) {
			t.Errorf("%s is not a query for the values of a label", list.Definition)
		}
	}
	if diff := cmp.Diff(used, defined); diff != "" {
		t.Errorf("variables (-used +defined):\n%s", diff)
	}
}
