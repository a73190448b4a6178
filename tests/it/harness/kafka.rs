//! The real broker, through `dev/kafka/kafka`. One is shared by all tests of the run, another
//! speaks TLS; both end with this process (`--owner`). What tests produce goes through kcat.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

use super::command::Run;
use super::proxy::Proxy;

/// A broker that runs.
pub struct Broker {
    dir: PathBuf,
}

/// The broker of this run.
pub fn shared() -> &'static Broker {
    static BROKER: OnceLock<Broker> = OnceLock::new();
    BROKER.get_or_init(|| Broker::start("broker", &[]))
}

/// Another one, with a SASL_SSL listener beside the plain one.
pub fn tls() -> &'static Broker {
    static BROKER: OnceLock<Broker> = OnceLock::new();
    BROKER.get_or_init(|| Broker::start("broker-tls", &["--tls"]))
}

fn script() -> PathBuf {
    super::root().join("dev/kafka/kafka")
}

/// What the broker said last against a record.
#[derive(Default)]
struct Reports(Mutex<Option<String>>);

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            *self.0.lock().unwrap() = Some(error.to_string());
        }
    }
}

impl Broker {
    fn start(name: &str, options: &[&str]) -> Self {
        let dir = super::scratch(name).join("data");
        let (path, pid) = (
            dir.to_str().unwrap().to_owned(),
            std::process::id().to_string(),
        );
        let arguments = [&["start", &path, "--owner", &pid], options].concat();
        let done = Run::new(script(), &arguments).run();
        // 3 is the script's word for something that is missing.
        assert!(
            !done.stderr.contains("is missing"),
            "no broker without Java and Maven: run `make test`\n{done}"
        );
        done.code(0);
        Self { dir }
    }

    /// A broker of one test's own, that may be stopped.
    pub fn own(name: &str) -> Self {
        Self::start(name, &[])
    }

    /// A broker of one test's own; who comes to it through `bootstrap_proxied` stays behind the proxy.
    pub fn behind(proxy: &Proxy, name: &str) -> Self {
        let port = proxy.port().to_string();
        let broker = Self::start(name, &["--proxy", &port]);
        proxy.to(&broker.read("bootstrap_proxied"));
        broker
    }

    /// Two brokers of one test's own; the second one may be stopped, the first has the controller.
    pub fn two(name: &str) -> (Self, Self) {
        let first = Self::own(name);
        let dir = first.dir.to_str().unwrap();
        let second = Self::start(&format!("{name}-2"), &["--beside", dir]);
        (first, second)
    }

    pub fn stop(&self) {
        self.run("stop", &[]);
    }

    /// Ends it (`--kill`: like a power cut) and starts it on the same data and ports.
    pub fn restart(&self, how: &[&str]) {
        self.run("restart", how);
    }

    /// Loses the log of a topic's first partition while the broker is down.
    pub fn lose(&self, topic: &str) {
        let log = self.dir.join("data").join(format!("{topic}-0"));
        std::fs::remove_dir_all(&log).unwrap_or_else(|e| panic!("{}: {e}", log.display()));
    }

    /// Turns one bit of what a partition's log has of `text`, while the broker is down.
    pub fn damage(&self, (topic, partition): (&str, i32), text: &str) {
        let log = self.dir.join("data").join(format!("{topic}-{partition}"));
        let segment = log.join("00000000000000000000.log");
        let mut bytes = std::fs::read(&segment).unwrap();
        let mut windows = bytes.windows(text.len());
        let at = windows.position(|w| w == text.as_bytes()).expect(text);
        bytes[at] ^= 1;
        std::fs::write(&segment, bytes).unwrap();
    }

    fn run(&self, command: &str, arguments: &[&str]) -> String {
        let all = [&[command, self.dir.to_str().unwrap()], arguments].concat();
        Run::new(script(), &all).ok().text()
    }

    pub fn topic(&self, name: &str, partitions: u32) {
        self.topic_on(name, &partitions.to_string());
    }

    /// A topic on these brokers: `@1,2` has a partition on each, `@2:1` one that 2 leads and 1 follows.
    pub fn topic_on(&self, name: &str, brokers: &str) {
        // Records of one test stay for it: no clean-up by age, and large or oddly dated ones are let in.
        let config = [
            "retention.ms=-1",
            "max.message.bytes=16777216",
            "message.timestamp.after.max.ms=9223372036854775807",
        ];
        self.topic_with(name, brokers, &config);
    }

    /// A topic with this configuration.
    pub fn topic_with(&self, name: &str, partitions: &str, config: &[&str]) {
        self.run("topic", &[&[name, partitions], config].concat());
    }

    /// One record per line of the file.
    pub fn produce(&self, topic: &str, file: &Path) {
        self.run("produce", &[topic, file.to_str().unwrap()]);
    }

    /// One record per line; what stands before the first tab is its key.
    pub fn produce_keyed(&self, topic: &str, file: &Path) {
        let (bootstrap, file) = (self.bootstrap(), file.to_str().unwrap());
        let arguments = [
            "-b",
            &bootstrap,
            "-P",
            "-q",
            "-t",
            topic,
            "-X",
            "enable.idempotence=true",
            "-K",
            "\t",
            "-l",
            file,
        ];
        Run::new("kcat", &arguments).ok();
    }

    /// One record per line, all to this partition.
    pub fn produce_to(&self, topic: &str, partition: u32, file: &Path) {
        let (bootstrap, file) = (self.bootstrap(), file.to_str().unwrap());
        let partition = partition.to_string();
        let arguments = [
            "-b", &bootstrap, "-P", "-q", "-t", topic, "-p", &partition, "-l", file,
        ];
        Run::new("kcat", &arguments).ok();
    }

    /// The offset that a group has published of a topic's first partition.
    pub fn published(&self, group: &str, topic: &str) -> Option<i64> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.bootstrap())
            .set("group.id", group)
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, 0);
        let found = consumer
            .committed_offsets(list, Duration::from_secs(5))
            .ok()?;
        match found.elements().first()?.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }
    }

    /// One record per line, each with this header (`name=value`).
    pub fn produce_with(&self, topic: &str, file: &Path, header: &str) {
        let (bootstrap, file) = (self.bootstrap(), file.to_str().unwrap());
        let arguments = [
            "-b", &bootstrap, "-P", "-q", "-t", topic, "-H", header, "-l", file,
        ];
        Run::new("kcat", &arguments).ok();
    }

    /// One record per line, each with a header whose name is no text beside this one.
    pub fn produce_with_odd_header(&self, topic: &str, file: &Path, header: &str) {
        let (bootstrap, file) = (self.bootstrap(), file.display());
        let command = format!(
            "kcat -b {bootstrap} -P -q -t {topic} -H {header} -H $'odd\\xff=1' -l '{file}'"
        );
        Run::new("bash", &["-c", &command]).ok();
    }

    /// A producer that stays connected.
    pub fn producer(&self) -> BaseProducer {
        ClientConfig::new()
            .set("bootstrap.servers", self.bootstrap())
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            .create()
            .unwrap()
    }

    /// These records to the first partition, each with its producer's time in milliseconds.
    pub fn produce_stamped(&self, topic: &str, records: &[(i64, String)]) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", self.bootstrap())
            .set("enable.idempotence", "true")
            .create()
            .unwrap();
        for (time, payload) in records {
            let record = BaseRecord::<(), _>::to(topic)
                .partition(0)
                .timestamp(*time)
                .payload(payload.trim_end());
            producer.send(record).map_err(|(e, _)| e).unwrap();
        }
        producer.flush(Duration::from_secs(30)).unwrap();
    }

    /// These records to the first partition, in one transaction.
    pub fn produce_committed(&self, topic: &str, records: &[String]) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", self.bootstrap())
            .set("transactional.id", topic)
            .create()
            .unwrap();
        let limit = Duration::from_secs(30);
        producer.init_transactions(limit).unwrap();
        producer.begin_transaction().unwrap();
        for payload in records {
            let record = BaseRecord::<(), _>::to(topic).partition(0);
            let sent = producer.send(record.payload(payload.trim_end()));
            sent.map_err(|(e, _)| e).unwrap();
        }
        producer.commit_transaction(limit).unwrap();
    }

    /// So many batches of one record of so many MiB of zeros, packed; what the broker says against them.
    pub fn produce_packed(
        &self,
        (topic, partition): (&str, i32),
        codec: &str,
        mib: u64,
        count: usize,
    ) -> Result<(), String> {
        let reports = Reports::default();
        let producer: BaseProducer<Reports> = ClientConfig::new()
            .set("bootstrap.servers", self.bootstrap())
            .set("compression.codec", codec)
            .set("message.max.bytes", "1000000000")
            .set("batch.num.messages", "1")
            .create_with_context(reports)
            .unwrap();
        let zeros = vec![0; usize::try_from(mib).unwrap() << 20];
        for _ in 0..count {
            let record = BaseRecord::<(), _>::to(topic)
                .partition(partition)
                .payload(&zeros);
            producer.send(record).map_err(|(e, _)| e.to_string())?;
        }
        producer
            .flush(Duration::from_secs(120))
            .map_err(|e| e.to_string())?;
        let refused = producer.context().0.lock().unwrap().take();
        refused.map_or(Ok(()), Err)
    }

    /// The lines of a file, to one partition, packed in batches of that many bytes. Those that are not
    /// full wait for more; what one batch unpacks to is known so.
    pub fn produce_batches(
        &self,
        (topic, partition): (&str, i32),
        codec: &str,
        bytes: usize,
        lines: &str,
    ) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", self.bootstrap())
            .set("compression.codec", codec)
            .set("message.max.bytes", "20000000")
            .set("batch.size", bytes.to_string())
            .set("batch.num.messages", "1000000")
            .set("queue.buffering.max.messages", "1000000")
            .set("linger.ms", "1000")
            .create()
            .unwrap();
        for line in lines.lines() {
            let record = BaseRecord::<(), _>::to(topic)
                .partition(partition)
                .payload(line);
            producer.send(record).map_err(|(e, _)| e).unwrap();
        }
        producer.flush(Duration::from_secs(60)).unwrap();
    }

    /// Retention takes everything that the first partition holds.
    pub fn expire(&self, topic: &str) {
        self.expire_before(topic, Offset::End);
    }

    /// Retention takes what the first partition holds before this offset.
    pub fn expire_before(&self, topic: &str, offset: Offset) {
        let mut before = TopicPartitionList::new();
        before.add_partition_offset(topic, 0, offset).unwrap();
        let done = self.administer(async |admin, options| {
            let done = admin.delete_records(&before, options).await.unwrap();
            done.elements_for_topic(topic)[0].error()
        });
        done.unwrap();
    }

    /// The topic goes, with all that it holds.
    pub fn delete(&self, topic: &str) {
        let done = self.administer(async |admin, options| {
            admin.delete_topics(&[topic], options).await.unwrap()
        });
        assert_eq!(done, [Ok(topic.to_owned())]);
    }

    /// The topic goes, and another one of its name comes at once.
    pub fn recreate(&self, topic: &str, partitions: i32) {
        self.delete(topic);
        let new =
            NewTopic::new(topic, partitions, TopicReplication::Fixed(1)).set("retention.ms", "-1");
        let done = self
            .administer(async |admin, options| admin.create_topics([&new], options).await.unwrap());
        assert_eq!(done, [Ok(topic.to_owned())]);
    }

    fn administer<T>(
        &self,
        order: impl AsyncFnOnce(&AdminClient<DefaultClientContext>, &AdminOptions) -> T,
    ) -> T {
        let admin = ClientConfig::new()
            .set("bootstrap.servers", self.bootstrap())
            .create()
            .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(order(&admin, &AdminOptions::new()))
    }

    /// One record that is the whole file, line feeds and all.
    pub fn produce_whole(&self, topic: &str, file: &Path) {
        let (bootstrap, file) = (self.bootstrap(), file.to_str().unwrap());
        let big = "message.max.bytes=16777216";
        Run::new(
            "kcat",
            &["-b", &bootstrap, "-P", "-q", "-t", topic, "-X", big, file],
        )
        .ok();
    }

    /// Every value, to the end of the log.
    pub fn consume(&self, topic: &str) -> Vec<String> {
        self.run("consume", &[topic])
            .lines()
            .map(str::to_owned)
            .collect()
    }

    pub fn bootstrap(&self) -> String {
        self.read("bootstrap")
    }

    pub fn bootstrap_sasl_ssl(&self) -> String {
        self.read("bootstrap_sasl_ssl")
    }

    pub fn ca_file(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// PLAIN_USER, PLAIN_PASSWORD, SCRAM_USER, SCRAM_PASSWORD.
    pub fn credentials(&self) -> BTreeMap<String, String> {
        let text = self.read("credentials");
        text.lines()
            .filter_map(|l| l.split_once('='))
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.join(name))
            .unwrap()
            .trim()
            .to_owned()
    }
}

/// Each line as a record, all in the topic when it returns.
pub fn send(producer: &BaseProducer, topic: &str, lines: &str) {
    for line in lines.lines() {
        let record = BaseRecord::<(), _>::to(topic).partition(0).payload(line);
        producer.send(record).map_err(|(e, _)| e).unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}
