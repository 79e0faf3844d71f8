// What an analyst's tool does with clickhouse-jdbc, a line of JSON for each URL.
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Properties;

public class Analysts {
    public static void main(String[] args) throws Exception {
        String[] options = {"", "?compress=false", "?client.use_http_compression=true", "?decompress=true"};
        for (String option : options) {
            System.out.println(ask(args[0], args[1], option));
        }
    }

    static String ask(String address, String password, String option) throws Exception {
        Properties user = new Properties();
        user.setProperty("user", "default");
        user.setProperty("password", password);
        StringBuilder said = new StringBuilder("{\"option\":\"" + option + "\"");
        try (Connection connection = DriverManager.getConnection("jdbc:clickhouse://" + address + "/shop" + option, user)) {
            try (Statement statement = connection.createStatement();
                    ResultSet rows = statement.executeQuery("SELECT number, toString(number) AS s FROM numbers(200000)")) {
                long count = 0;
                long sum = 0;
                while (rows.next()) {
                    count++;
                    sum += rows.getLong(1);
                    if (!rows.getString("s").equals(Long.toString(rows.getLong(1)))) {
                        throw new IllegalStateException("row " + count);
                    }
                }
                said.append(",\"rows\":").append(count).append(",\"sum\":").append(sum);
            }
            try (PreparedStatement statement = connection.prepareStatement("SELECT total FROM orders WHERE kind = ?")) {
                statement.setString(1, "paid");
                try (ResultSet rows = statement.executeQuery()) {
                    rows.next();
                    said.append(",\"one\":").append(rows.getDouble(1));
                }
            }
            try (ResultSet tables = connection.getMetaData().getTables(null, "shop", "%", null)) {
                said.append(",\"tables\":\"");
                while (tables.next()) {
                    said.append(tables.getString("TABLE_NAME"));
                }
                said.append('"');
            }
            try (ResultSet columns = connection.getMetaData().getColumns(null, "shop", "orders", "%")) {
                int count = 0;
                while (columns.next()) {
                    count++;
                }
                said.append(",\"columns\":").append(count);
            }
            try (Statement statement = connection.createStatement();
                    ResultSet rows = statement.executeQuery("SELECT kind FROM orders WHERE 0")) {
                said.append(",\"nothing\":").append(!rows.next());
            }
            try (Statement statement = connection.createStatement()) {
                statement.executeQuery("SELECT missing FROM orders");
            } catch (SQLException refused) {
                said.append(",\"refused\":").append(refused.getErrorCode());
                said.append(",\"why\":").append(refused.getMessage().contains("missing"));
            }
            String kind = "jdbc" + option;
            try (PreparedStatement insert = connection.prepareStatement("INSERT INTO orders (kind, total) VALUES (?, ?)")) {
                for (int n = 0; n < 1000; n++) {
                    insert.setString(1, kind);
                    insert.setDouble(2, n);
                    insert.addBatch();
                }
                insert.executeBatch();
            }
            try (PreparedStatement stored = connection.prepareStatement("SELECT count() FROM orders WHERE kind = ?")) {
                stored.setString(1, kind);
                try (ResultSet rows = stored.executeQuery()) {
                    rows.next();
                    said.append(",\"stored\":").append(rows.getLong(1));
                }
            }
        }
        return said.append('}').toString();
    }
}
