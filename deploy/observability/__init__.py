"""Alert rules and a dashboard for Prometheus and Grafana."""
