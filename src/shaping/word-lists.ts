/**
 * Words of questions that say nothing about which tool is meant. English and Russian; in other languages a
 * frequent word is told by its frequency alone.
 */
export const stopWords: ReadonlySet<string> = new Set(
  `a able about above after again all also am an and any anybody anyone anything are as at be because been before being below between
  both but by can cannot could did do does doing done down during each either else ever every everybody everyone everything few for from further
  gives given got had has have having he help her here hers him his how i id if in into is it its itself
  just kind know let lot lots makes may maybe me might mine more most much must my myself need needs
  neither no nor not now of off ok on once one only or other others our ours out over own per please quite rather
  really same see she should so some somebody someone something somehow such sure than thank thanks that the their theirs them
  then there these they thing things this those through thus to too tool tools under until up us use used uses
  using very via want wants was way we were what whatever when where whether which while who whom whose why will with
  within without would yes yet you your yours
  и в во не что он на я с со как а то все она так его но да ты к у же вы за бы по только ее мне было вот от меня еще
  нет о из ему для или ли если уже чтобы мой моя мои это этот эта эти все всех нужно надо хочу можно пожалуйста`
    .split(/\s+/)
    .filter((word) => word !== ''),
);

/**
 * Words that name the same deed or thing in questions and in definitions. A word of the question also finds its
 * neighbours here, for less. Each line is one group; a word may stand in several.
 */
export const synonymGroups: readonly (readonly string[])[] = `
  create add new make insert creation generate build compose
  register create add
  write create update
  set update change configure
  delete remove erase drop destroy deletion removal discard
  clear remove reset purge flush
  update edit modify change patch alter rewrite adjust correct
  rename name title
  replace substitute
  get fetch retrieve read show view display give obtain load tell see
  list show browse enumerate display
  search find query lookup look discover locate
  check verify validate test inspect status
  describe detail info information about explain
  send post deliver message write push
  say message send post
  answer reply respond response
  run execute launch start invoke trigger perform
  start begin open launch
  stop halt terminate kill cancel abort end
  restart reboot cycle
  retry rerun repeat again
  schedule cron recurring nightly daily weekly
  enable activate on
  disable deactivate off
  finish complete close done resolve
  approve accept confirm
  decline reject refuse deny
  assign assignee give owner
  copy clone duplicate
  move relocate transfer
  restore recover undo revert rollback
  rollback rollout revert
  upload attach import
  download export save
  merge combine join
  split divide break
  compare diff difference change
  convert transform translate
  connect link associate relate relation
  watch subscribe follow monitor notify
  mute silence
  block restrict protect
  count many number total amount
  sum add total
  average mean
  biggest largest top most
  big large size
  latest recent last new newest
  past history previous
  slow performance latency speed
  wrong error problem fail failure
  repository repo project
  pr pull
  mr merge
  commit change revision
  branch ref
  source code
  db database
  sql query
  schema structure column field
  table sheet
  row record entry item
  column field
  vector embedding
  document doc page
  docs documentation doc guide reference
  paper article publication
  summary abstract overview
  directory folder dir
  file document
  disk storage volume
  image picture photo img pic
  icon image
  screenshot capture
  video recording
  chart graph plot diagram
  map location
  msg message
  mail email message inbox
  chat conversation channel thread room
  comment reply note remark
  emoji reaction
  notification alert
  reminder remind
  event meeting appointment
  calendar schedule
  free busy availability available
  vacation holiday leave absence
  invite invitation attendee
  ticket issue bug
  story issue ticket
  task todo item
  card task
  sprint iteration cycle
  milestone release
  due deadline date
  priority urgent importance
  label tag
  category label tag
  person people contact member user
  colleague teammate coworker member user
  everyone member user
  boss manager
  employee staff worker
  customer client contact
  team group
  company organization account
  org organization organisation
  permission access role right
  share permission access
  credential secret password token key
  auth authentication authorization login
  login signin sign
  logout signout sign
  profile account user
  config configuration setting settings preferences
  env environment variable
  website site webpage page url web
  link url
  internet web online
  popup dialog modal alert
  dropdown select option
  click press tap
  type fill enter
  scrape extract crawl
  news web
  metric statistics stats measurement
  analytics statistics insight report
  log logs trace
  audit history activity log
  activity history
  error exception failure crash
  alarm alert monitor
  incident outage
  health status
  uptime availability
  build job pipeline
  ci build pipeline
  deploy deployment release
  release version
  package library module
  k8s kubernetes
  container pod docker
  machine server instance vm host droplet
  vm instance droplet
  replica scale
  cpu size resource
  ip address
  dns domain record
  certificate tls ssl
  postgres postgresql
  js javascript
  spreadsheet sheet workbook excel xlsx
  slide presentation deck powerpoint pptx
  docx word document
  form survey questionnaire
  app application
  dashboard report
  price cost fare
  money payment pay
  invoice bill
  tax vat
  account ledger
  order purchase
  product item
  deal opportunity
  lead contact
  flight plane airline
  directions route navigation
  drive driving car
  place location poi address
  coordinate latitude longitude geocode
  near nearby around
  weather forecast rain temperature
  time clock date
  timezone time zone
  remember memory store
  store save upsert insert
  forget delete remove
  think reason reasoning
`
  .trim()
  .split('\n')
  .map((line) => line.trim().split(' '));
