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
	"github.com/arpfabric/arpfabric/internal/violation"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

// A vocabulary is the metrics there are, each with its labels.
type vocabulary map[string][]string

// scraped are the labels that Prometheus itself gives to what it scrapes.
var scraped = []string{"instance", "job"}

func exportedVocabulary(t *testing.T) vocabulary {
	t.Helper()
	families, err := newRegistry(fixed(sample(t))).Gather()
	must(t, err)
	known := vocabulary{"up": scraped}
	for _, f := range families {
		labels := append(slices.Collect(maps.Keys(labelsOf(f))), scraped...)
		known[f.GetName()] = labels
		if len(f.GetMetric()) > 0 && f.GetMetric()[0].GetHistogram() != nil {
			delete(known, f.GetName())
			known[f.GetName()+"_bucket"] = append(labels, "le")
			known[f.GetName()+"_sum"], known[f.GetName()+"_count"] = labels, labels
		}
	}
	return known
}

// promQL are the functions that the examples use, and whether they want a range. The parser knows more than Prometheus
// does.
var promQL = map[string]bool{
	"rate": true, "increase": true, "changes": true,
	"histogram_quantile": false, "vector": false,
}

// complaints takes what is wrong with queries: a *testing.T, but where it is tested what is found.
type complaints interface {
	Errorf(format string, args ...any)
}

// check parses a query, holds that what it names is there, and returns the labels of its result.
func (v vocabulary) check(to complaints, query string) []string {
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

func (v vocabulary) checkSelector(to complaints, query string, e *metricsql.MetricExpr) {
	for _, filters := range e.LabelFilterss {
		labels, ok := v[filters[0].Value]
		if filters[0].Label != "__name__" || !ok {
			to.Errorf("%s: there is no metric %s", query, filters[0].Value)
		}
		for _, f := range filters[1:] {
			expectKnown(to, query, []string{f.Label}, labels)
			checkValue(to, query, f)
		}
	}
}

// checkValue holds that the reasons and actions that are looked for are there.
func checkValue(to complaints, query string, f metricsql.LabelFilter) {
	for value := range strings.SplitSeq(f.Value, "|") {
		known := true
		switch f.Label {
		case "reason":
			_, known = responder.ReasonOf(value)
		case "action":
			_, known = responder.ActionOf(value)
		}
		if !known {
			to.Errorf("%s: there is no %s %s", query, f.Label, value)
		}
	}
}

func checkCall(to complaints, query string, e *metricsql.FuncExpr) {
	wantsRange, ok := promQL[e.Name]
	if !ok {
		to.Errorf("%s: is %s one of Prometheus' functions?", query, e.Name)
	}
	rollup, isRollup := e.Args[0].(*metricsql.RollupExpr)
	if hasRange := isRollup && rollup.Window != nil; hasRange != wantsRange {
		to.Errorf("%s: %s has a range: %v, want %v", query, e.Name, hasRange, wantsRange)
	}
}

func expectKnown(to complaints, query string, labels, known []string) {
	for _, label := range labels {
		if !slices.Contains(known, label) {
			to.Errorf("%s: there is no label %s", query, label)
		}
	}
}

// labels returns the labels that the results of expressions have.
func (v vocabulary) labels(of ...metricsql.Expr) []string {
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

// aggregated returns the labels that an aggregation leaves.
func (v vocabulary) aggregated(e *metricsql.AggrFuncExpr) []string {
	if strings.HasPrefix(e.Name, "topk") {
		return v.labels(e.Args...)
	}
	return e.Modifier.Args
}

// TestVocabulary holds that mistakes in queries are found.
func TestVocabulary(t *testing.T) {
	v := exportedVocabulary(t)
	for _, query := range []string{
		`arpfabric_frame_total`, `sum by (address) (arpfabric_ports)`, `arpfabric_ports{port="vnet1"}`,
		`rate(arpfabric_frames_total)`, `arpfabric_frames_total{reason="answer"}`,
		`arpfabric_frames_total{action=~"drop|pas"}`, `sum(`, `rate_over_sum(up[5m])`,
		`vector(up[5m])`, `histogram_quantile(0.9, sum by (le) (arpfabric_ports))`, `arpfabric_answer_duration_seconds`,
	} {
		var found counted
		v.check(&found, query)
		if found == 0 {
			t.Errorf("%s: no mistake is found", query)
		}
	}
}

// counted counts complaints.
type counted int

func (c *counted) Errorf(string, ...any) { *c++ }

// rules is a file of alert rules, as far as there is anything in ours.
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
	must(t, err)
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	must(t, decoder.Decode(into))
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
	v := exportedVocabulary(t)
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
	must(t, err)
	var documented []string
	for _, match := range alertInTable.FindAllStringSubmatch(string(page), -1) {
		documented = append(documented, match[1])
	}
	if diff := cmp.Diff(alerts, documented); diff != "" || len(alerts) == 0 {
		t.Errorf("docs/metrics.md (-is +written):\n%s", diff)
	}
}

// TestViolationsAreAllOfThem holds that what the dashboard calls violations are those that are logged.
func TestViolationsAreAllOfThem(t *testing.T) {
	var reasons []string
	for r := range responder.NumReasons {
		if violation.Is(responder.Reason(r)) {
			reasons = append(reasons, responder.Reason(r).String())
		}
	}
	want := `reason=~"` + strings.Join(reasons, "|") + `"`
	if !strings.Contains(strings.Join(dashboardQueries(t), "\n"), want) {
		t.Errorf("no query is about %s", want)
	}
}

// TestPrometheusConfiguration holds that what is scraped is what the reference configuration serves, under the job that
// the queries name.
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
	reference, err := config.Load(folder + "reference.yaml")
	must(t, err)
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

// dashboard is what Grafana imports, as far as it is tested.
type dashboard struct {
	Panels []struct {
		ID         int
		Title      string
		Datasource source
		Targets    []struct {
			Datasource         source
			Expr, LegendFormat string
		}
	}
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
	Annotations struct{ List []struct{ Expr string } }
}

type source struct{ Type, UID string }

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	data, err := os.ReadFile("../../examples/grafana/arpfabric.json")
	must(t, err)
	must(t, json.Unmarshal(data, &d))
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
	v, d := exportedVocabulary(t), readDashboard(t)
	ids := map[int]bool{}
	for _, panel := range d.Panels {
		if ids[panel.ID] || len(panel.Targets) == 0 {
			t.Errorf("panel %q has no query, or the number of another one", panel.Title)
		}
		ids[panel.ID] = true
		for _, target := range panel.Targets {
			labels := v.check(t, target.Expr)
			for _, match := range labelInLegend.FindAllStringSubmatch(target.LegendFormat, -1) {
				expectKnown(t, panel.Title+": "+target.LegendFormat, match[1:], labels)
			}
			if want := (source{"prometheus", "${datasource}"}); target.Datasource != want || panel.Datasource != want {
				t.Errorf("panel %q is not from the data source that was chosen", panel.Title)
			}
		}
	}
	for _, a := range d.Annotations.List {
		v.check(t, a.Expr)
	}
}

// TestDashboardVariables holds that those that are used are there, and that their values are those of a label.
func TestDashboardVariables(t *testing.T) {
	v, d := exportedVocabulary(t), readDashboard(t)
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
			t.Errorf("%s: no values of a label", list.Definition)
		}
	}
	if diff := cmp.Diff(used, defined); diff != "" {
		t.Errorf("variables (-used +defined):\n%s", diff)
	}
}
